#include "weights.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "parallel.h"

namespace laxity {
namespace {

constexpr int64_t kPiece = 1 << 14;  // elements of one task, about

// Calls work(first, last) for stretches of rows.
template <class Work>
void by_rows(int threads, int64_t rows, int64_t n, const Work& work) {
  const int64_t step = std::max<int64_t>(1, kPiece / std::max<int64_t>(1, n));
  parallel_for(threads, (rows + step - 1) / step,
               [&](int, int64_t task) { work(task * step, std::min(rows, (task + 1) * step)); });
}

// Sixteen maxima side by side, which the compiler keeps in vectors. What is not a number is passed over.
float greatest_magnitude(const float* x, int64_t n) {
  constexpr int kLanes = 16;
  float most[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int j = 0; j < kLanes; ++j) {
      const float v = std::fabs(x[i + j]);
      most[j] = v > most[j] ? v : most[j];
    }
  for (; i < n; ++i) most[0] = std::max(most[0], std::fabs(x[i]));
  return *std::max_element(most, most + kLanes);
}

}  // namespace

bool code_weights(const WeightShape& shape, const float* weight, const float* ratio, int threads, const Level& level,
                  uint8_t* codes, float* scale) {
  const int64_t n = shape.n;
  const auto scale_of = [&](float greatest, float part) { return std::max(greatest * part / shape.top, 1e-12f); };
  if (shape.shared) {
    float greatest = 0.0f;
    for (int64_t row = 0; row < shape.rows; ++row)
      greatest = std::max(greatest, greatest_magnitude(weight + row * n, n));
    scale[0] = scale_of(greatest, ratio[0]);
  }
  std::atomic<bool> finite{true};
  by_rows(threads, shape.rows, n, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const float* from = weight + row * n;
      if (!shape.shared) scale[row] = scale_of(greatest_magnitude(from, n), ratio[row]);
      if (!level.quantise(from, 1, n, shape.quantiser(scale, row), codes + row * n)) finite = false;
    }
  });
  return finite;
}

void represent_weights(const WeightShape& shape, const float* weight, const float* scale, int threads,
                       const Level& level, float* out) {
  by_rows(threads, shape.rows, shape.n, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t at = row * shape.n;
      level.represent(weight + at, shape.n, shape.quantiser(scale, row), out + at);
    }
  });
}

void pass_weight_gradient(const WeightShape& shape, const float* gradient, const float* weight, const float* scale,
                          int threads, const Level& level, float* out) {
  by_rows(threads, shape.rows, shape.n, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t at = row * shape.n;
      level.pass_gradient(gradient + at, weight + at, shape.n, shape.quantiser(scale, row), out + at);
    }
  });
}

void sum_rows(const uint8_t* codes, int64_t rows, int64_t n, const int64_t* values, int threads, int64_t* out) {
  by_rows(threads, rows, n, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const uint8_t* code = codes + row * n;
      int64_t sum[4] = {}, i = 0;
      for (; i + 4 <= n; i += 4)
        for (int j = 0; j < 4; ++j) sum[j] += values[code[i + j]];
      for (; i < n; ++i) sum[0] += values[code[i]];
      out[row] = sum[0] + sum[1] + sum[2] + sum[3];
    }
  });
}

}  // namespace laxity
