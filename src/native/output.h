// Where the results of a layer go.
#pragma once

#include <cstdint>

#include "level.h"

namespace laxity {

// Either scaled float32 or int64 sums; the other one is null.
struct Output {
  float* scaled;
  int64_t* sums;
  const float* scale;  // (outputs) each; bias may be null
  const float* gain;
  const float* bias;

  Scaling at(int64_t n) const { return {scale[n], gain[n], bias ? bias[n] : 0.0f}; }
};

}  // namespace laxity
