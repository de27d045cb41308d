// Products of mapped operands by AVX2: bytes are widened to 16 bits, whose products are added in pairs exactly. (The
// instruction for bytes would saturate.)
#include <immintrin.h>

#include "level.h"

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

namespace laxity {
namespace {

constexpr int kRows = 3;    // positions whose sums of 16 outputs fit in the registers
constexpr int kParts = 4;   // registers of one position: four outputs each, as two partial sums per output

// Four bytes as 16-bit numbers, repeated.
INLINE __m256i spread(const uint8_t* a) {
  int32_t quad;
  __builtin_memcpy(&quad, a, sizeof(quad));
  const __m256i order = _mm256_set1_epi64x(static_cast<long long>(0x8003800280018000ull));
  return _mm256_shuffle_epi8(_mm256_set1_epi32(quad), order);
}

// Two partial sums per output become one: outputs 0 to 7 from the first two parts.
INLINE __m256i collapse(__m256i first, __m256i second) {
  return _mm256_permute4x64_epi64(_mm256_hadd_epi32(first, second), 0xd8);
}

INLINE void finish(const LowrankTile& tile, __m256i sum, int32_t* to) {
  __m256i* at = reinterpret_cast<__m256i*>(to);
  if (tile.factor != 1) sum = _mm256_mullo_epi32(sum, _mm256_set1_epi32(tile.factor));
  _mm256_store_si256(at, tile.first ? sum : _mm256_add_epi32(sum, _mm256_load_si256(at)));
}

template <int VECTORS, int ROWS>
__attribute__((noinline)) void micro(const LowrankTile& tile) {
  const int64_t length = tile.quads * kQuad;
  for (int v = 0; v < VECTORS; ++v) {
    __m256i sum[ROWS][kParts];
    UNROLL for (int m = 0; m < ROWS; ++m) {
      UNROLL for (int p = 0; p < kParts; ++p) sum[m][p] = _mm256_setzero_si256();
    }
    const __m128i* w = reinterpret_cast<const __m128i*>(tile.weights + v * tile.pitch);
    for (int64_t run = 0; run < tile.runs; ++run) {
      const int64_t from = tile.offsets[run];
      for (int64_t i = from; i != from + length; i += kQuad, w += kParts) {
        __m256i input[ROWS];
        UNROLL for (int m = 0; m < ROWS; ++m) input[m] = spread(tile.rows[m] + i);
        UNROLL for (int p = 0; p < kParts; ++p) {
          const __m256i weights = _mm256_cvtepi8_epi16(_mm_loadu_si128(w + p));
          UNROLL for (int m = 0; m < ROWS; ++m)
            sum[m][p] = _mm256_add_epi32(sum[m][p], _mm256_madd_epi16(input[m], weights));
        }
      }
    }
    UNROLL for (int m = 0; m < ROWS; ++m) {
      int32_t* to = tile.acc + m * kWideTile + v * kVector;
      finish(tile, collapse(sum[m][0], sum[m][1]), to);
      finish(tile, collapse(sum[m][2], sum[m][3]), to + 8);
    }
  }
}

// Eight outputs; those from `count` on are scaled by zero and never stored.
struct Scaler {
  __m256i constant;
  __m256 scale, gain, bias;

  INLINE Scaler(const LowrankScaling& s, int64_t n, int64_t count) {
    alignas(32) int32_t constants[8] = {};
    alignas(32) float numbers[3][8] = {};
    for (int64_t i = 0; i < count; ++i) {
      constants[i] = static_cast<int32_t>(static_cast<uint64_t>(s.constants[n + i]));
      numbers[0][i] = s.scale[n + i];
      numbers[1][i] = s.gain[n + i];
      if (s.bias) numbers[2][i] = s.bias[n + i];
    }
    constant = _mm256_load_si256(reinterpret_cast<const __m256i*>(constants));
    scale = _mm256_load_ps(numbers[0]);
    gain = _mm256_load_ps(numbers[1]);
    bias = _mm256_load_ps(numbers[2]);
  }

  INLINE __m256 apply(const int32_t* acc) const {
    const __m256i sum = _mm256_add_epi32(_mm256_load_si256(reinterpret_cast<const __m256i*>(acc)), constant);
    return _mm256_add_ps(_mm256_mul_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale), gain), bias);
  }
};

// 8 x 8 floats: row r of the result holds element r of every input.
INLINE void transpose8(__m256 r[8]) {
  __m256 t[8], u[8];
  UNROLL for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  UNROLL for (int i = 0; i < 8; i += 4) {
    UNROLL for (int j = 0; j < 2; ++j) {
      u[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0x44);
      u[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0xee);
    }
  }
  UNROLL for (int j = 0; j < 4; ++j) {
    r[j] = _mm256_permute2f128_ps(u[j], u[4 + j], 0x20);
    r[4 + j] = _mm256_permute2f128_ps(u[j], u[4 + j], 0x31);
  }
}

INLINE void store(float* to, __m256 v, int64_t count) {
  if (count >= 8) {
    _mm256_storeu_ps(to, v);
    return;
  }
  alignas(32) float line[8];
  _mm256_store_ps(line, v);
  for (int64_t i = 0; i < count; ++i) to[i] = line[i];
}

void planes(const int32_t* acc, int64_t positions, int64_t outputs, const LowrankScaling& s, float* out,
            int64_t pitch) {
  for (int64_t n = 0; n < outputs; n += 8) {
    const int64_t wide = outputs - n < 8 ? outputs - n : 8;
    const Scaler scaler(s, n, wide);
    for (int64_t m = 0; m < positions; m += 8) {
      __m256 r[8];
      UNROLL for (int i = 0; i < 8; ++i) r[i] = scaler.apply(acc + (m + i) * kWideTile + n);
      transpose8(r);
      alignas(32) __m256 rows[8];
      UNROLL for (int i = 0; i < 8; ++i) rows[i] = r[i];
      for (int64_t i = 0; i < wide; ++i) store(out + (n + i) * pitch + m, rows[i], positions - m);
    }
  }
}

void columns(const int32_t* acc, int64_t positions, int64_t outputs, const LowrankScaling& s, float* out,
             int64_t pitch) {
  for (int64_t n = 0; n < outputs; n += 8) {
    const int64_t wide = outputs - n < 8 ? outputs - n : 8;
    const Scaler scaler(s, n, wide);
    for (int64_t m = 0; m < positions; ++m) store(out + m * pitch + n, scaler.apply(acc + m * kWideTile + n), wide);
  }
}

template <int VECTORS>
void fill(LowrankLevel& level) {
  level.rows[VECTORS - 1] = kRows;
  level.micro[VECTORS - 1][0] = micro<VECTORS, 1>;
  level.micro[VECTORS - 1][1] = micro<VECTORS, 2>;
  level.micro[VECTORS - 1][2] = micro<VECTORS, 3>;
}

}  // namespace

void fill_lowrank_avx2(LowrankLevel& level) {
  fill<1>(level);
  fill<2>(level);
  fill<3>(level);
  fill<4>(level);
  level.planes = planes;
  level.columns = columns;
}

}  // namespace laxity
