// AVX2: tables are looked up 16 entries at a time, by shuffles of differences.
#include <immintrin.h>

#include <cstring>

#include "level.h"

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")
// Keeps the compiler from reordering a chain of operations, which would need more registers than there are.
#define PIN(x) asm volatile("" : "+x"(x))

namespace laxity {
namespace {

#include "elementwise.inl"
#include "transpose.inl"

// ---------------------------------------------------------------------------------------------------- quantising

struct Encoder {
  __m256 scale, zero, low, high;
  __m256i base;
  const uint8_t* map;

  INLINE explicit Encoder(const Quantiser& q) {
    scale = _mm256_set1_ps(q.scale);
    zero = _mm256_set1_ps(q.zero);
    low = _mm256_set1_ps(q.low);
    high = _mm256_set1_ps(q.high);
    base = _mm256_set1_epi32(static_cast<int>(q.low));
    map = q.map;
  }

  // Lanes of `bad` become all ones where x is not finite.
  INLINE __m256i code(__m256 x, __m256i& bad) const {
    const __m256i exponent = _mm256_set1_epi32(0x7f800000);
    bad = _mm256_or_si256(
        bad, _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(x), exponent), exponent));
    __m256 code = _mm256_round_ps(_mm256_div_ps(x, scale), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    code = _mm256_min_ps(_mm256_max_ps(_mm256_add_ps(code, zero), low), high);
    return _mm256_sub_epi32(_mm256_cvtps_epi32(code), base);
  }

  INLINE __m128i encode(const float* x, __m256i& bad) const {
    const __m256i first = code(_mm256_loadu_ps(x), bad), second = code(_mm256_loadu_ps(x + 8), bad);
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xd8);
    const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    return map == nullptr ? bytes : translate(bytes);
  }

  // The same for fewer than 16 elements or elements that lie apart.
  INLINE __m128i encode(const float* x, int64_t stride, int64_t n, __m256i& bad) const {
    float line[16] = {};
    for (int64_t i = 0; i < n; ++i) line[i] = x[i * stride];
    return encode(line, bad);
  }

 private:
  INLINE __m128i translate(__m128i bytes) const {
    alignas(16) uint8_t code[16];
    _mm_store_si128(reinterpret_cast<__m128i*>(code), bytes);
    for (int i = 0; i < 16; ++i) code[i] = map[code[i]];
    return _mm_load_si128(reinterpret_cast<const __m128i*>(code));
  }
};

INLINE void store(uint8_t* to, __m128i bytes, int64_t n) {
  if (n >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
    return;
  }
  alignas(16) uint8_t line[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(line), bytes);
  std::memcpy(to, line, n);
}

bool quantise(const float* x, int64_t stride, int64_t n, const Quantiser& q, uint8_t* out) {
  const Encoder encoder(q);
  __m256i bad = _mm256_setzero_si256();
  for (int64_t i = 0; i < n; i += 16) {
    const int64_t here = n - i < 16 ? n - i : 16;
    const bool whole = stride == 1 && here == 16;
    store(out + i, whole ? encoder.encode(x + i, bad) : encoder.encode(x + i * stride, stride, here, bad), here);
  }
  return _mm256_testz_si256(bad, bad) != 0;
}

bool quantise_planes(const float* x, int64_t pixel_stride, int64_t pixels, int64_t channels, const Quantiser& q,
                     uint8_t* out, int64_t plane) {
  const Encoder encoder(q);
  __m256i bad = _mm256_setzero_si256();
  for (int64_t p = 0; p < pixels; p += 16) {
    const int64_t here = pixels - p < 16 ? pixels - p : 16;
    for (int64_t c = 0; c < channels; c += 16) {
      const int64_t wide = channels - c < 16 ? channels - c : 16;
      __m128i rows[16] = {};
      for (int64_t i = 0; i < here; ++i) {
        const float* from = x + (p + i) * pixel_stride + c;
        rows[i] = wide == 16 ? encoder.encode(from, bad) : encoder.encode(from, 1, wide, bad);
      }
      transpose16(rows);
      for (int64_t i = 0; i < wide; ++i) store(out + (c + i) * plane + p, rows[i], here);
    }
  }
  return _mm256_testz_si256(bad, bad) != 0;
}

INLINE __m256i load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
INLINE void save(void* to, __m256i v) { _mm256_storeu_si256(static_cast<__m256i*>(to), v); }

// Copies whole vectors: later runs overwrite what earlier ones wrote beyond their end.
void pack(const uint8_t* image, const int64_t* offset, int64_t k, const Run* runs, int64_t count, uint8_t* out) {
  for (int64_t i = 0; i < k; ++i) {
    const uint8_t* from = image + offset[i];
    uint8_t* to = out + i * kTile;
    for (int64_t r = 0; r < count; ++r) {
      const uint8_t* source = from + runs[r].source;
      uint8_t* target = to + runs[r].start;
      const int32_t length = runs[r].length;
      int32_t done = 0;
      for (; length - done > 32; done += 32) save(target + done, load(source + done));
      save(target + done, load(source + done));
    }
  }
}

// Without an instruction for it: every code is written, and the next one overwrites it where it is to be skipped.
int64_t compress(const uint8_t* codes, int64_t n, uint8_t skip, uint32_t base, uint32_t step, uint32_t* offsets,
                 uint8_t* rows) {
  int64_t found = 0;
  for (int64_t i = 0; i < n; ++i, base += step) {
    offsets[found] = base;
    rows[found] = codes[i];
    found += codes[i] != skip;
  }
  return found;
}

// ------------------------------------------------------------------------------------------------------- look-up

// Chunks of a chain are looked up one after the other with the index lowered by 16 each time. A shuffle returns zero
// once the index is negative, so the exclusive or of all shuffles is that of the chunks up to the index's own: each
// chunk but the first is stored as its difference from the one before.
template <Entries E>
constexpr int kChain = E == Entries::k64 ? 4 : 8;

void arrange(const uint8_t* table, int64_t groups, Entries entries, uint8_t* out) {
  const int64_t chain = entries == Entries::k64 ? 4 : 8;
  const int64_t chunks = groups * (entries == Entries::k256 ? 2 * chain : chain);
  const auto chunk = [&](int64_t i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * i)); };
  for (int64_t i = 0; i < chunks; ++i)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16 * i),
                     i % chain ? _mm_xor_si128(chunk(i), chunk(i - 1)) : chunk(i));
}

// GROUPS times 32 indices, looked up in every plane of a row.
template <Entries E, int PLANES, int BITS, int GROUPS>
INLINE void lookup(const uint8_t* index, const uint8_t* row, __m256i (&found)[PLANES][GROUPS]) {
  constexpr int kPlane = E == Entries::k64 ? 64 : E == Entries::k256 ? 256 : 128;
  constexpr int kHalves = E == Entries::k256 ? 2 : 1;  // chains of a plane
  const __m256i chunk = _mm256_set1_epi8(16), magnitude = _mm256_set1_epi8(127);
  __m256i at[GROUPS], half[kHalves][PLANES][GROUPS];
  UNROLL for (int g = 0; g < GROUPS; ++g) {
    at[g] = load(index + 32 * g);
    if (E == Entries::k256 || E == Entries::kSigned) at[g] = _mm256_and_si256(at[g], magnitude);
  }
  UNROLL for (int i = 0; i < kChain<E>; ++i) {
    UNROLL for (int g = 0; g < GROUPS; ++g) {
      if (i > 0) at[g] = _mm256_sub_epi8(at[g], chunk);
      PIN(at[g]);
    }
    UNROLL for (int p = 0; p < PLANES; ++p) {
      UNROLL for (int h = 0; h < kHalves; ++h) {
        const uint8_t* from = row + p * kPlane + 128 * h + 16 * i;
        const __m256i values = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
        UNROLL for (int g = 0; g < GROUPS; ++g) {
          const __m256i x = _mm256_shuffle_epi8(values, at[g]);
          half[h][p][g] = i > 0 ? _mm256_xor_si256(half[h][p][g], x) : x;
          PIN(half[h][p][g]);
        }
      }
    }
  }
  UNROLL for (int g = 0; g < GROUPS; ++g) {
    const __m256i x = load(index + 32 * g);
    const __m256i sign = _mm256_and_si256(_mm256_cmpgt_epi8(_mm256_setzero_si256(), x),
                                          _mm256_set1_epi8(static_cast<char>((1 << BITS) - 1)));
    UNROLL for (int p = 0; p < PLANES; ++p) {
      found[p][g] = E == Entries::k256      ? _mm256_blendv_epi8(half[0][p][g], half[kHalves - 1][p][g], x)
                    : E == Entries::kSigned ? _mm256_xor_si256(half[0][p][g], sign)
                                            : half[0][p][g];
    }
  }
}

// Sums of the bytes at even and at odd places are kept apart: `words` holds even + 256 odd, `odds` odd, both modulo
// 2^16, in which neither sum overflows for table_chunk(BITS) terms. One of these belongs to 32 outputs.
template <int PLANES>
struct Sums {
  __m256i words[PLANES], odds[PLANES];
};

template <Entries E, int PLANES, int BITS, int GROUPS, int PAIRS>
INLINE void step(const uint8_t* a, const uint32_t* offset, const uint8_t* row, const uint8_t* table,
                 Sums<PLANES> (&sums)[GROUPS]) {
  constexpr int kRow = PLANES * (E == Entries::k64 ? 64 : E == Entries::k256 ? 256 : 128);
  __m256i total[PLANES][GROUPS];
  UNROLL for (int i = 0; i < PAIRS; ++i) {
    __m256i found[PLANES][GROUPS];
    lookup<E, PLANES, BITS, GROUPS>(a + offset[i], table + static_cast<int64_t>(row[i]) * kRow, found);
    UNROLL for (int p = 0; p < PLANES; ++p) {
      UNROLL for (int g = 0; g < GROUPS; ++g)
        total[p][g] = i ? _mm256_add_epi8(total[p][g], found[p][g]) : found[p][g];
    }
  }
  UNROLL for (int p = 0; p < PLANES; ++p) {
    UNROLL for (int g = 0; g < GROUPS; ++g) {
      sums[g].words[p] = _mm256_add_epi16(sums[g].words[p], total[p][g]);
      sums[g].odds[p] = _mm256_add_epi16(sums[g].odds[p], _mm256_srli_epi16(total[p][g], 8));
    }
  }
}

// Adds k pairs to the sums of 32 * GROUPS outputs.
template <Entries E, int PLANES, int BITS, int GROUPS>
__attribute__((noinline)) void columns(const uint8_t* a, const uint32_t* offset, const uint8_t* row,
                                       const uint8_t* table, int64_t k, Sums<PLANES>* to) {
  constexpr int kPairs = BITS == 8 ? 1 : BITS == 7 ? 2 : 4;
  Sums<PLANES> sums[GROUPS];
  UNROLL for (int g = 0; g < GROUPS; ++g) sums[g] = to[g];
  int64_t i = 0;
  for (; i + kPairs <= k; i += kPairs) step<E, PLANES, BITS, GROUPS, kPairs>(a, offset + i, row + i, table, sums);
  if constexpr (kPairs > 1) {
    for (; i < k; ++i) step<E, PLANES, BITS, GROUPS, 1>(a, offset + i, row + i, table, sums);
  }
  UNROLL for (int g = 0; g < GROUPS; ++g) to[g] = sums[g];
}

// Lanes of an accumulator, for every 32 outputs: vector j holds the sums of bytes 4 i + j in lane i.
template <int PLANES, int BITS>
INLINE void widen(const Sums<PLANES>& sums, __m256i out[4]) {
  const __m256i mask = _mm256_set1_epi32(0xffff);
  UNROLL for (int p = 0; p < PLANES; ++p) {
    const __m256i odds = sums.odds[p];
    const __m256i evens = _mm256_sub_epi16(sums.words[p], _mm256_slli_epi16(odds, 8));
    const __m256i part[4] = {_mm256_and_si256(evens, mask), _mm256_and_si256(odds, mask),
                             _mm256_srli_epi32(evens, 16), _mm256_srli_epi32(odds, 16)};
    UNROLL for (int j = 0; j < 4; ++j)
      out[j] = p ? _mm256_add_epi32(out[j], _mm256_slli_epi32(part[j], BITS)) : part[j];
  }
}

// The registers hold what 128 outputs need, or 64 where a plane has two chains. All outputs go through a few rows
// while those are in the first-level cache.
template <Entries E, int PLANES, int BITS, int BLOCKS>
void micro(const uint8_t* a, const uint32_t* offset, const uint8_t* row, const uint8_t* table, int64_t k, int32_t* acc,
           bool first) {
  constexpr int kWide = E == Entries::k256 ? 1 : 2;
  constexpr int64_t kRows = E == Entries::k256 ? 32 : 64;
  Sums<PLANES> sums[2 * BLOCKS] = {};
  for (int64_t i = 0; i < k; i += kRows) {
    const int64_t length = k - i < kRows ? k - i : kRows;
    int b = 0;
    for (; b + kWide <= BLOCKS; b += kWide)
      columns<E, PLANES, BITS, 2 * kWide>(a + kBlock * b, offset + i, row + i, table, length, sums + 2 * b);
    if (b < BLOCKS) columns<E, PLANES, BITS, 2>(a + kBlock * b, offset + i, row + i, table, length, sums + 2 * b);
  }
  for (int g = 0; g < 2 * BLOCKS; ++g) {
    __m256i total[4];
    widen<PLANES, BITS>(sums[g], total);
    UNROLL for (int j = 0; j < 4; ++j) {
      int32_t* to = acc + 32 * g + 8 * j;
      save(to, first ? total[j] : _mm256_add_epi32(total[j], load(to)));
    }
  }
}

// ------------------------------------------------------------------------------------------------------ finishing

// Half h of a block less base, in natural order.
INLINE void totals(const int32_t* acc, const int32_t* base, int h, __m256i r[4]) {
  UNROLL for (int j = 0; j < 4; ++j) {
    r[j] = load(acc + 32 * h + 8 * j);
    if (base != nullptr) r[j] = _mm256_sub_epi32(r[j], load(base + 32 * h + 8 * j));
  }
  const __m256i a = _mm256_unpacklo_epi32(r[0], r[1]), b = _mm256_unpackhi_epi32(r[0], r[1]);
  const __m256i c = _mm256_unpacklo_epi32(r[2], r[3]), d = _mm256_unpackhi_epi32(r[2], r[3]);
  const __m256i t0 = _mm256_unpacklo_epi64(a, c), t1 = _mm256_unpackhi_epi64(a, c);
  const __m256i t2 = _mm256_unpacklo_epi64(b, d), t3 = _mm256_unpackhi_epi64(b, d);
  r[0] = _mm256_permute2x128_si256(t0, t1, 0x20);
  r[1] = _mm256_permute2x128_si256(t2, t3, 0x20);
  r[2] = _mm256_permute2x128_si256(t0, t1, 0x31);
  r[3] = _mm256_permute2x128_si256(t2, t3, 0x31);
}

void natural(const int32_t* acc, const int32_t* base, int32_t* out) {
  for (int h = 0; h < 2; ++h) {
    __m256i r[4];
    totals(acc, base, h, r);
    UNROLL for (int j = 0; j < 4; ++j) save(out + 32 * h + 8 * j, r[j]);
  }
}

void scaled(const int32_t* acc, const int32_t* base, int32_t constant, const Scaling& s, float* out) {
  const __m256 scale = _mm256_set1_ps(s.scale), gain = _mm256_set1_ps(s.gain), bias = _mm256_set1_ps(s.bias);
  const __m256i shift = _mm256_set1_epi32(constant);
  for (int h = 0; h < 2; ++h) {
    __m256i r[4];
    totals(acc, base, h, r);
    UNROLL for (int j = 0; j < 4; ++j) {
      const __m256 v = _mm256_cvtepi32_ps(_mm256_add_epi32(r[j], shift));
      _mm256_storeu_ps(out + 32 * h + 8 * j, _mm256_add_ps(_mm256_mul_ps(_mm256_mul_ps(v, scale), gain), bias));
    }
  }
}

void scaled_lanes(const int32_t* acc, int32_t shift, const Lanes& l, float* out) {
  const __m256i all = _mm256_set1_epi32(shift);
  for (int h = 0; h < 2; ++h) {
    __m256i r[4];
    totals(acc, nullptr, h, r);
    UNROLL for (int j = 0; j < 4; ++j) {
      const int i = 32 * h + 8 * j;
      const __m256 v = _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_add_epi32(r[j], all), load(l.constant + i)));
      const __m256 product = _mm256_mul_ps(_mm256_mul_ps(v, _mm256_loadu_ps(l.scale + i)), _mm256_loadu_ps(l.gain + i));
      _mm256_storeu_ps(out + i, _mm256_add_ps(product, _mm256_loadu_ps(l.bias + i)));
    }
  }
}

INLINE void transpose8(const float* x, int64_t pitch, float* out, int64_t out_pitch) {
  __m256 r[8], t[8];
  UNROLL for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(x + i * pitch);
  UNROLL for (int i = 0; i < 8; i += 4) {
    const __m256 a = _mm256_unpacklo_ps(r[i], r[i + 1]), b = _mm256_unpackhi_ps(r[i], r[i + 1]);
    const __m256 c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
    t[i] = _mm256_shuffle_ps(a, c, 0x44);
    t[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
    t[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
    t[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
  }
  UNROLL for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(out + i * out_pitch, _mm256_permute2f128_ps(t[i], t[i + 4], 0x20));
    _mm256_storeu_ps(out + (i + 4) * out_pitch, _mm256_permute2f128_ps(t[i], t[i + 4], 0x31));
  }
}

void transpose(const float* x, int64_t pitch, int64_t channels, int64_t positions, float* out, int64_t out_pitch) {
  const int64_t whole_channels = channels / 8 * 8, whole = positions / 8 * 8;
  for (int64_t j = 0; j < whole; j += 8) {
    for (int64_t c = 0; c < whole_channels; c += 8)
      transpose8(x + c * pitch + j, pitch, out + j * out_pitch + c, out_pitch);
    for (int64_t i = j; i < j + 8; ++i)
      for (int64_t c = whole_channels; c < channels; ++c) out[i * out_pitch + c] = x[c * pitch + i];
  }
  for (int64_t j = whole; j < positions; ++j)
    for (int64_t c = 0; c < channels; ++c) out[j * out_pitch + c] = x[c * pitch + j];
}

#include "level_fill.inl"

}  // namespace

const Level* level_avx2() {
  static const Level level = [] {
    Level l = functions("avx2");
    l.arrange = arrange;
    fill_lowrank_avx2(l.lowrank);
    return l;
  }();
  return &level;
}

}  // namespace laxity
