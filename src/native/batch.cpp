#include "batch.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "buffer.h"
#include "parallel.h"

namespace laxity {
namespace {

Geometry matrix_geometry(const Batch& b) {
  Geometry g{};
  g.batch = g.groups = 1;
  g.channels = b.k;
  g.outputs = b.n;
  for (int d = 0; d < 3; ++d) {
    g.in[d] = g.out[d] = d == 2 ? b.m : 1;
    g.kernel[d] = g.stride[d] = g.dilation[d] = 1;
    g.before[d] = g.after[d] = 0;
  }
  g.x_stride[1] = b.left[2];
  g.x_stride[4] = b.left[1];
  g.y_stride[1] = 1;
  g.y_stride[4] = b.n;
  return g;
}

// One matrix's right factor as codes (n, k), what they add to every output, and the scaling of outputs.
struct Right {
  Buffer rows, constants, scales;

  bool make(const Batch& b, int64_t index, const Level& level) {
    const float* y = b.y + index * b.right[0];
    uint8_t* codes = rows.get<uint8_t>(b.n * b.k + kSlack);
    bool finite = true;
    if (b.right[2] == 1) {
      finite = level.quantise_planes(y, b.right[1], b.k, b.n, b.right_code, codes, b.k);
    } else {
      for (int64_t n = 0; n < b.n; ++n)
        finite &= level.quantise(y + n * b.right[2], b.right[1], b.k, b.right_code, codes + n * b.k);
    }
    int64_t* sums = constants.get<int64_t>(b.n);
    float* scale = scales.get<float>(2 * b.n);
    for (int64_t n = 0; n < b.n; ++n) {
      int64_t sum = 0;
      for (int64_t k = 0; k < b.k; ++k) sum += b.constant[codes[n * b.k + k]];
      sums[n] = sum;
      scale[n] = b.scale;
      scale[b.n + n] = 1.0f;
    }
    return finite;
  }

  const uint8_t* codes(const Batch& b) { return rows.get<uint8_t>(b.n * b.k + kSlack); }
  const int64_t* added(const Batch& b) { return constants.get<int64_t>(b.n); }

  Output output(const Batch& b, int64_t index) {
    const float* scale = scales.get<float>(2 * b.n);
    return {b.out + index * b.m * b.n, nullptr, scale, scale + b.n, nullptr};
  }
};

// Runs one(right, index, threads) for every matrix: side by side, or one after the other with all threads.
template <class One>
bool each(const Batch& b, int threads, const One& one) {
  std::atomic<bool> finite{true};
  const bool beside = b.count >= threads;
  std::vector<Right> rights(beside ? std::max(1, threads) : 1);
  parallel_for(beside ? threads : 1, b.count, [&](int who, int64_t index) {
    if (!one(rights[who], index, beside ? 1 : threads)) finite = false;
  });
  return finite;
}

}  // namespace

bool table_batch(const Batch& batch, const TableOperand& operand, int threads, const Level& level) {
  const Geometry g = matrix_geometry(batch);
  return each(batch, threads, [&](Right& right, int64_t index, int inner) {
    if (!right.make(batch, index, level)) return false;
    TableOperand mine = operand;
    mine.codes = right.codes(batch);
    mine.constants = right.added(batch);
    return table_products(g, batch.x + index * batch.left[0], batch.left_code, mine, right.output(batch, index), inner,
                          level);
  });
}

bool lowrank_batch(const Batch& batch, const LowrankOperand& operand, const int8_t* weights, int64_t codes,
                   int threads, const Level& level) {
  const Geometry g = matrix_geometry(batch);
  LowrankShape shape{batch.n, batch.k, 1, 1, {}};
  for (const Bundle& bundle : operand.bundles) shape.terms.push_back(bundle.terms);
  return each(batch, threads, [&](Right& right, int64_t index, int inner) {
    if (!right.make(batch, index, level)) return false;
    thread_local Buffer packed_memory;
    int8_t* packed = packed_memory.get<int8_t>(shape.packed_size() + 1);
    pack_lowrank(shape, right.codes(batch), weights, codes, packed);
    LowrankOperand mine = operand;
    mine.weights = packed;
    mine.constants = right.added(batch);
    return lowrank_products(g, batch.x + index * batch.left[0], batch.left_code, mine, right.output(batch, index),
                            inner, level);
  });
}

}  // namespace laxity
