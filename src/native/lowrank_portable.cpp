// The reference of the low-rank functions: plain C++ for any CPU.
#include <cstring>

#include "level.h"

namespace laxity {
namespace {

constexpr int kRows = 4;

template <int VECTORS, int ROWS>
void micro(const LowrankTile& tile) {
  for (int m = 0; m < ROWS; ++m)
    for (int v = 0; v < VECTORS; ++v) {
      uint32_t sum[kVector] = {};
      const int8_t* w = tile.weights + v * tile.pitch;
      for (int64_t run = 0; run < tile.runs; ++run) {
        const uint8_t* a = tile.rows[m] + tile.offsets[run];
        for (int64_t k = 0; k < tile.quads; ++k, a += kQuad, w += kVector * kQuad)
          for (int n = 0; n < kVector; ++n)
            sum[n] += static_cast<uint32_t>(a[0] * w[4 * n] + a[1] * w[4 * n + 1] + a[2] * w[4 * n + 2] +
                                            a[3] * w[4 * n + 3]);
      }
      int32_t* acc = tile.acc + m * kWideTile + v * kVector;
      for (int n = 0; n < kVector; ++n) {
        const uint32_t before = tile.first ? 0 : static_cast<uint32_t>(acc[n]);
        acc[n] = static_cast<int32_t>(before + static_cast<uint32_t>(tile.factor) * sum[n]);
      }
    }
}

float scale(int32_t acc, const LowrankScaling& s, int64_t n) {
  const uint32_t sum = static_cast<uint32_t>(acc) + static_cast<uint32_t>(s.constants[n]);
  return static_cast<float>(static_cast<int32_t>(sum)) * s.scale[n] * s.gain[n] + (s.bias ? s.bias[n] : 0.0f);
}

void planes(const int32_t* acc, int64_t positions, int64_t outputs, const LowrankScaling& s, float* out,
            int64_t pitch) {
  for (int64_t n = 0; n < outputs; ++n)
    for (int64_t m = 0; m < positions; ++m) out[n * pitch + m] = scale(acc[m * kWideTile + n], s, n);
}

void columns(const int32_t* acc, int64_t positions, int64_t outputs, const LowrankScaling& s, float* out,
             int64_t pitch) {
  for (int64_t m = 0; m < positions; ++m)
    for (int64_t n = 0; n < outputs; ++n) out[m * pitch + n] = scale(acc[m * kWideTile + n], s, n);
}

template <int VECTORS>
void fill(LowrankLevel& level) {
  level.rows[VECTORS - 1] = kRows;
  level.micro[VECTORS - 1][0] = micro<VECTORS, 1>;
  level.micro[VECTORS - 1][1] = micro<VECTORS, 2>;
  level.micro[VECTORS - 1][2] = micro<VECTORS, 3>;
  level.micro[VECTORS - 1][3] = micro<VECTORS, 4>;
}

}  // namespace

void fill_lowrank_portable(LowrankLevel& level) {
  fill<1>(level);
  fill<2>(level);
  fill<3>(level);
  fill<4>(level);
  level.planes = planes;
  level.columns = columns;
}

}  // namespace laxity
