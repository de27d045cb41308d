// What a layer needs of its weights whenever they have changed: codes, sums over outputs, represented values, gradients.
#pragma once

#include "level.h"

namespace laxity {

// Weights of `rows` times `n` float32, whose codes are clamp(round(w / scale), -top, top).
struct WeightShape {
  int64_t rows, n;
  float top;
  bool shared;  // one scale for all rows; otherwise each has its own

  Quantiser quantiser(const float* scale, int64_t row) const {
    return {scale[shared ? 0 : row], 0.0f, -top, top, nullptr};
  }
};

// Finds scale = max(max |w| * ratio / top, 1e-12), of every row or of all, and writes codes + top.
// Returns false where a weight is not finite; the results are undefined then.
bool code_weights(const WeightShape& shape, const float* weight, const float* ratio, int threads, const Level& level,
                  uint8_t* codes, float* scale);

void represent_weights(const WeightShape& shape, const float* weight, const float* scale, int threads,
                       const Level& level, float* out);

// Zeros where weights are clipped, the gradient elsewhere.
void pass_weight_gradient(const WeightShape& shape, const float* gradient, const float* weight, const float* scale,
                          int threads, const Level& level, float* out);

// The sum of values[code] over each row of codes.
void sum_rows(const uint8_t* codes, int64_t rows, int64_t n, const int64_t* values, int threads, int64_t* out);

}  // namespace laxity
