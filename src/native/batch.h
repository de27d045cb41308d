// Batches of matrix products in which both factors are activations: every matrix brings its own right factor.
#pragma once

#include "level.h"
#include "lowrank.h"
#include "table.h"

namespace laxity {

// count products of (m, k) and (k, n) matrices; strides in elements.
struct Batch {
  int64_t count, m, k, n;
  int64_t left[3];   // batch, row, column
  int64_t right[3];  // batch, row, column
  const float* x;
  const float* y;
  Quantiser left_code, right_code;
  const int64_t* constant;  // (256), added to an output for every right code
  float scale;
  float* out;  // (count, m, n)
};

// Operands are as for layers, without the weights, which are made here. Return false where a factor is not finite.
bool table_batch(const Batch& batch, const TableOperand& operand, int threads, const Level& level);

// `weights` are the mapped right codes, (terms, codes).
bool lowrank_batch(const Batch& batch, const LowrankOperand& operand, const int8_t* weights, int64_t codes,
                   int threads, const Level& level);

}  // namespace laxity
