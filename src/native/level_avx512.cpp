// AVX-512 with VBMI: tables of 64, 128 and 256 entries live in registers and are looked up 64 at a time.
#include <immintrin.h>

#include "avx512_encoder.h"
#include "level.h"

namespace laxity {
namespace {

#include "elementwise.inl"

// ---------------------------------------------------------------------------------------------------- quantising

constexpr int64_t kAhead = 256;  // elements that are fetched before they are needed
constexpr int64_t kFarthest = (int64_t{1} << 31) / 16;  // stride that offsets of 32 bits reach

INLINE __m512 gathered(const float* x, int64_t stride, int64_t n) {
  alignas(64) float line[16] = {};
  for (int64_t i = 0; i < n; ++i) line[i] = x[i * stride];
  return _mm512_load_ps(line);
}

bool quantise(const float* x, int64_t stride, int64_t n, const Quantiser& q, uint8_t* out) {
  const Encoder encoder(q);
  __mmask16 bad = 0;
  const __m512i lanes = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                           _mm512_set1_epi32(static_cast<int>(stride)));
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 live = n - i >= 16 ? 0xffff : static_cast<__mmask16>((1u << (n - i)) - 1);
    _mm_prefetch(x + (i + kAhead) * stride, _MM_HINT_T0);
    const __m512 v = stride == 1           ? _mm512_maskz_loadu_ps(live, x + i)
                     : stride >= kFarthest ? gathered(x + i * stride, stride, n - i < 16 ? n - i : 16)
                     : _mm512_mask_i32gather_ps(_mm512_setzero_ps(), live, lanes, x + i * stride, 4);
    _mm_mask_storeu_epi8(out + i, live, encoder.translate(encoder.encode(v, bad)));
  }
  return bad == 0;
}

bool quantise_planes(const float* x, int64_t pixel_stride, int64_t pixels, int64_t channels, const Quantiser& q,
                     uint8_t* out, int64_t plane) {
  const Encoder encoder(q);
  __mmask16 bad = 0;
  for (int64_t p = 0; p < pixels; p += 16) {
    const int64_t here = pixels - p < 16 ? pixels - p : 16;
    const __mmask16 alive = static_cast<__mmask16>((1u << here) - 1);
    for (int64_t c = 0; c < channels; c += 16) {
      const int64_t wide = channels - c < 16 ? channels - c : 16;
      const __mmask16 live = static_cast<__mmask16>((1u << wide) - 1);
      __m128i rows[16];
      for (int i = 0; i < 16; ++i) {
        if (i < here) {
          const float* from = x + (p + i) * pixel_stride + c;
          _mm_prefetch(from + 16 * pixel_stride, _MM_HINT_T0);
          const __m512 v = _mm512_maskz_loadu_ps(live, from);
          rows[i] = encoder.translate(encoder.encode(v, bad));
        } else {
          rows[i] = _mm_setzero_si128();
        }
      }
      transpose16(rows);
      for (int64_t i = 0; i < wide; ++i) _mm_mask_storeu_epi8(out + (c + i) * plane + p, alive, rows[i]);
    }
  }
  return bad == 0;
}

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
      for (; length - done > 64; done += 64) _mm512_storeu_si512(target + done, _mm512_loadu_si512(source + done));
      _mm512_storeu_si512(target + done, _mm512_loadu_si512(source + done));
    }
  }
}

int64_t compress(const uint8_t* codes, int64_t n, uint8_t skip, uint32_t base, uint32_t step, uint32_t* offsets,
                 uint8_t* rows) {
  alignas(64) uint8_t ramp[64];
  UNROLL for (int i = 0; i < 64; ++i) ramp[i] = static_cast<uint8_t>(i);
  const __m512i lanes = _mm512_load_si512(ramp), skipped = _mm512_set1_epi8(static_cast<char>(skip));
  const __m512i pace = _mm512_set1_epi32(static_cast<int>(step));
  int64_t found = 0;
  for (int64_t i = 0; i < n; i += 64, base += 64 * step) {
    const __mmask64 live = n - i >= 64 ? ~__mmask64{0} : (__mmask64{1} << (n - i)) - 1;
    const __m512i code = _mm512_maskz_loadu_epi8(live, codes + i);
    const __mmask64 kept = _mm512_mask_cmpneq_epu8_mask(live, code, skipped);
    const int count = __builtin_popcountll(kept);
    const __m512i place = _mm512_maskz_compress_epi8(kept, lanes), start = _mm512_set1_epi32(static_cast<int>(base));
    _mm512_storeu_si512(rows + found, _mm512_maskz_compress_epi8(kept, code));
    const __m128i quarter[4] = {_mm512_castsi512_si128(place), _mm512_extracti32x4_epi32(place, 1),
                                _mm512_extracti32x4_epi32(place, 2), _mm512_extracti32x4_epi32(place, 3)};
    UNROLL for (int j = 0; j < 4; ++j) {
      const __m512i offset = _mm512_mullo_epi32(_mm512_cvtepu8_epi32(quarter[j]), pace);
      _mm512_storeu_si512(offsets + found + 16 * j, _mm512_add_epi32(offset, start));
    }
    found += count;
  }
  return found;
}

// ------------------------------------------------------------------------------------------------------- look-up

template <Entries E>
struct Table {
  static constexpr int kVectors = E == Entries::k64 ? 1 : E == Entries::k256 ? 4 : 2;
  __m512i part[kVectors];

  INLINE explicit Table(const uint8_t* bytes) {
    UNROLL for (int i = 0; i < kVectors; ++i) part[i] = _mm512_loadu_si512(bytes + 64 * i);
  }

  INLINE __m512i at(__m512i index) const {
    if constexpr (E == Entries::k64) {
      return _mm512_permutexvar_epi8(index, part[0]);
    } else if constexpr (E != Entries::k256) {
      return _mm512_permutex2var_epi8(part[0], index, part[1]);
    } else {
      // The index's own register takes the upper half's results; lanes of the lower half keep their index.
      const __mmask64 upper = _mm512_movepi8_mask(index);
      const __m512i high = _mm512_mask2_permutex2var_epi8(part[2], index, upper, part[3]);
      return _mm512_mask2_permutex2var_epi8(part[0], high, _knot_mask64(upper), part[1]);
    }
  }
};

// All ones (of `BITS` bits) in every byte whose sign bit is set.
template <int BITS>
INLINE __m512i sign_bytes(__m512i index) {
  // Each output bit is a bit of the product of one matrix byte with the operand: 0x80 selects bit 7.
  constexpr long long kMatrix = BITS == 8   ? static_cast<long long>(0x8080808080808080ull)
                                : BITS == 7 ? static_cast<long long>(0x8080808080808000ull)
                                            : static_cast<long long>(0x8080808080800000ull);
  return _mm512_gf2p8affine_epi64_epi8(index, _mm512_set1_epi64(kMatrix), 0);
}

template <Entries E, int BITS>
INLINE __m512i lookup(const Table<E>& table, __m512i index) {
  const __m512i found = table.at(index);
  return E == Entries::kSigned ? _mm512_xor_si512(found, sign_bytes<BITS>(index)) : found;
}

// Sums of the bytes at even and at odd places are kept apart: `words` holds even + 256 odd, `odds` odd, both modulo
// 2^16, in which neither sum overflows for table_chunk(BITS) terms.
template <int PLANES, int BLOCKS>
struct Sums {
  __m512i words[PLANES][BLOCKS], odds[PLANES][BLOCKS];

  INLINE Sums() {
    UNROLL for (int p = 0; p < PLANES; ++p) {
      UNROLL for (int b = 0; b < BLOCKS; ++b) words[p][b] = odds[p][b] = _mm512_setzero_si512();
    }
  }

  INLINE void add(int p, __m512i (&x)[BLOCKS]) {
    UNROLL for (int b = 0; b < BLOCKS; ++b) words[p][b] = _mm512_add_epi16(words[p][b], x[b]);
    UNROLL for (int b = 0; b < BLOCKS; ++b) x[b] = _mm512_srli_epi16(x[b], 8);
    UNROLL for (int b = 0; b < BLOCKS; ++b) odds[p][b] = _mm512_add_epi16(odds[p][b], x[b]);
  }
};

// Lanes of an accumulator block: vector j holds the sums of bytes 4 i + j in lane i.
template <int PLANES, int BITS>
INLINE void widen(__m512i words_low, __m512i odds_low, __m512i words_high, __m512i odds_high, __m512i out[4]) {
  const __m512i mask = _mm512_set1_epi32(0xffff);
  const __m512i evens_low = _mm512_sub_epi16(words_low, _mm512_slli_epi16(odds_low, 8));
  out[0] = _mm512_and_si512(evens_low, mask);
  out[1] = _mm512_and_si512(odds_low, mask);
  out[2] = _mm512_srli_epi32(evens_low, 16);
  out[3] = _mm512_srli_epi32(odds_low, 16);
  if constexpr (PLANES == 2) {
    const __m512i evens_high = _mm512_sub_epi16(words_high, _mm512_slli_epi16(odds_high, 8));
    out[0] = _mm512_add_epi32(out[0], _mm512_slli_epi32(_mm512_and_si512(evens_high, mask), BITS));
    out[1] = _mm512_add_epi32(out[1], _mm512_slli_epi32(_mm512_and_si512(odds_high, mask), BITS));
    out[2] = _mm512_add_epi32(out[2], _mm512_slli_epi32(_mm512_srli_epi32(evens_high, 16), BITS));
    out[3] = _mm512_add_epi32(out[3], _mm512_slli_epi32(_mm512_srli_epi32(odds_high, 16), BITS));
  }
}

// Eight vectors of a 256-entry table fit the registers next to the sums, so that both planes share indices and masks.
template <int PLANES, int BLOCKS>
INLINE void step_256(const uint8_t* index, const uint8_t* row, Sums<PLANES, BLOCKS>& sums) {
  __m512i part[PLANES][4], at[BLOCKS];
  __mmask64 upper[BLOCKS];
  UNROLL for (int p = 0; p < PLANES; ++p) {
    UNROLL for (int i = 0; i < 4; ++i) part[p][i] = _mm512_loadu_si512(row + 256 * p + 64 * i);
  }
  UNROLL for (int b = 0; b < BLOCKS; ++b) at[b] = _mm512_loadu_si512(index + kBlock * b);
  UNROLL for (int b = 0; b < BLOCKS; ++b) upper[b] = _mm512_movepi8_mask(at[b]);
  UNROLL for (int p = 0; p < PLANES; ++p) {
    __m512i x[BLOCKS];
    UNROLL for (int b = 0; b < BLOCKS; ++b) {
      const __m512i high = _mm512_permutex2var_epi8(part[p][2], at[b], part[p][3]);
      const __m512i low = _mm512_permutex2var_epi8(part[p][0], at[b], part[p][1]);
      x[b] = _mm512_mask_blend_epi8(upper[b], low, high);
    }
    sums.add(p, x);
  }
}

template <Entries E, int PLANES, int BITS, int BLOCKS, int PAIRS>
INLINE void step(const uint8_t* a, const uint32_t* offset, const uint8_t* row, const uint8_t* table,
                 Sums<PLANES, BLOCKS>& sums) {
  constexpr int kPlane = 64 * Table<E>::kVectors;
  if constexpr (E == Entries::k256 && PAIRS == 1) {
    step_256(a + offset[0], table + static_cast<int64_t>(row[0]) * (PLANES * kPlane), sums);
    return;
  }
  UNROLL for (int p = 0; p < PLANES; ++p) {
    __m512i total[BLOCKS];
    UNROLL for (int i = 0; i < PAIRS; ++i) {
      const Table<E> values(table + static_cast<int64_t>(row[i]) * (PLANES * kPlane) + p * kPlane);
      const uint8_t* index = a + offset[i];
      __m512i x[BLOCKS];
      UNROLL for (int b = 0; b < BLOCKS; ++b) x[b] = _mm512_loadu_si512(index + kBlock * b);
      UNROLL for (int b = 0; b < BLOCKS; ++b) x[b] = lookup<E, BITS>(values, x[b]);
      UNROLL for (int b = 0; b < BLOCKS; ++b) total[b] = i ? _mm512_add_epi8(total[b], x[b]) : x[b];
    }
    sums.add(p, total);
  }
}

template <Entries E, int PLANES, int BITS, int BLOCKS>
__attribute__((noinline)) void micro(const uint8_t* a, const uint32_t* offset, const uint8_t* row,
                                     const uint8_t* table, int64_t k, int32_t* acc, bool first) {
  constexpr int kPairs = BITS == 8 ? 1 : BITS == 7 ? 2 : 4;
  Sums<PLANES, BLOCKS> sums;
  int64_t i = 0;
  for (; i + kPairs <= k; i += kPairs) step<E, PLANES, BITS, BLOCKS, kPairs>(a, offset + i, row + i, table, sums);
  if constexpr (kPairs > 1) {
    for (; i < k; ++i) step<E, PLANES, BITS, BLOCKS, 1>(a, offset + i, row + i, table, sums);
  }
  UNROLL for (int b = 0; b < BLOCKS; ++b) {
    __m512i total[4];
    widen<PLANES, BITS>(sums.words[0][b], sums.odds[0][b], sums.words[PLANES - 1][b], sums.odds[PLANES - 1][b], total);
    UNROLL for (int j = 0; j < 4; ++j) {
      int32_t* to = acc + kBlock * b + 16 * j;
      _mm512_store_si512(to, first ? total[j] : _mm512_add_epi32(total[j], _mm512_load_si512(to)));
    }
  }
}

// ------------------------------------------------------------------------------------------------------ finishing

// Brings the lanes of one block into natural order.
INLINE void order(__m512i r[4]) {
  const __m512i a = _mm512_unpacklo_epi32(r[0], r[1]), b = _mm512_unpackhi_epi32(r[0], r[1]);
  const __m512i c = _mm512_unpacklo_epi32(r[2], r[3]), d = _mm512_unpackhi_epi32(r[2], r[3]);
  const __m512i t0 = _mm512_unpacklo_epi64(a, c), t1 = _mm512_unpackhi_epi64(a, c);
  const __m512i t2 = _mm512_unpacklo_epi64(b, d), t3 = _mm512_unpackhi_epi64(b, d);
  const __m512i u0 = _mm512_shuffle_i32x4(t0, t1, 0x44), u1 = _mm512_shuffle_i32x4(t0, t1, 0xee);
  const __m512i v0 = _mm512_shuffle_i32x4(t2, t3, 0x44), v1 = _mm512_shuffle_i32x4(t2, t3, 0xee);
  r[0] = _mm512_shuffle_i32x4(u0, v0, 0x88);
  r[1] = _mm512_shuffle_i32x4(u0, v0, 0xdd);
  r[2] = _mm512_shuffle_i32x4(u1, v1, 0x88);
  r[3] = _mm512_shuffle_i32x4(u1, v1, 0xdd);
}

INLINE void totals(const int32_t* acc, const int32_t* base, __m512i r[4]) {
  UNROLL for (int j = 0; j < 4; ++j) {
    r[j] = _mm512_load_si512(acc + 16 * j);
    if (base != nullptr) r[j] = _mm512_sub_epi32(r[j], _mm512_load_si512(base + 16 * j));
  }
  order(r);
}

void natural(const int32_t* acc, const int32_t* base, int32_t* out) {
  __m512i r[4];
  totals(acc, base, r);
  UNROLL for (int j = 0; j < 4; ++j) _mm512_storeu_si512(out + 16 * j, r[j]);
}

void scaled(const int32_t* acc, const int32_t* base, int32_t constant, const Scaling& s, float* out) {
  const __m512 scale = _mm512_set1_ps(s.scale), gain = _mm512_set1_ps(s.gain), bias = _mm512_set1_ps(s.bias);
  const __m512i shift = _mm512_set1_epi32(constant);
  __m512i r[4];
  totals(acc, base, r);
  UNROLL for (int j = 0; j < 4; ++j) {
    const __m512 v = _mm512_cvtepi32_ps(_mm512_add_epi32(r[j], shift));
    _mm512_storeu_ps(out + 16 * j, _mm512_add_ps(_mm512_mul_ps(_mm512_mul_ps(v, scale), gain), bias));
  }
}

void scaled_lanes(const int32_t* acc, int32_t shift, const Lanes& l, float* out) {
  const __m512i all = _mm512_set1_epi32(shift);
  __m512i r[4];
  totals(acc, nullptr, r);
  UNROLL for (int j = 0; j < 4; ++j) {
    const int i = 16 * j;
    const __m512i sum = _mm512_add_epi32(_mm512_add_epi32(r[j], all), _mm512_loadu_si512(l.constant + i));
    const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(l.scale + i));
    _mm512_storeu_ps(out + i, _mm512_add_ps(_mm512_mul_ps(product, _mm512_loadu_ps(l.gain + i)),
                                            _mm512_loadu_ps(l.bias + i)));
  }
}

// Four by four floats within the quarters of four registers.
INLINE void transpose_quarters(__m512* r) {
  const __m512 a = _mm512_unpacklo_ps(r[0], r[1]), b = _mm512_unpackhi_ps(r[0], r[1]);
  const __m512 c = _mm512_unpacklo_ps(r[2], r[3]), d = _mm512_unpackhi_ps(r[2], r[3]);
  r[0] = _mm512_shuffle_ps(a, c, 0x44);
  r[1] = _mm512_shuffle_ps(a, c, 0xee);
  r[2] = _mm512_shuffle_ps(b, d, 0x44);
  r[3] = _mm512_shuffle_ps(b, d, 0xee);
}

// Sixteen by sixteen floats: quarters are transposed, then change places.
INLINE void transpose_floats(__m512 r[16]) {
  UNROLL for (int i = 0; i < 4; ++i) transpose_quarters(r + 4 * i);
  UNROLL for (int i = 0; i < 4; ++i) {
    const __m512 a = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x44), b = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xee);
    const __m512 c = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x44);
    const __m512 d = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xee);
    r[i] = _mm512_shuffle_f32x4(a, c, 0x88);
    r[i + 4] = _mm512_shuffle_f32x4(a, c, 0xdd);
    r[i + 8] = _mm512_shuffle_f32x4(b, d, 0x88);
    r[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
}

void transpose(const float* x, int64_t pitch, int64_t channels, int64_t positions, float* out, int64_t out_pitch) {
  const __mmask16 wide = static_cast<__mmask16>((1u << channels) - 1);
  for (int64_t j = 0; j < positions; j += 16) {
    const int64_t here = positions - j < 16 ? positions - j : 16;
    const __mmask16 live = static_cast<__mmask16>((1u << here) - 1);
    __m512 r[16];
    UNROLL for (int c = 0; c < 16; ++c)
      r[c] = c < channels ? _mm512_maskz_loadu_ps(live, x + c * pitch + j) : _mm512_setzero_ps();
    transpose_floats(r);
    UNROLL for (int i = 0; i < 16; ++i) {
      if (i < here) _mm512_mask_storeu_ps(out + (j + i) * out_pitch, wide, r[i]);
    }
  }
}

#include "level_fill.inl"

}  // namespace

const Level* level_avx512() {
  static const Level level = [] {
    Level l = functions("avx512");
    fill_lowrank_avx512(l.lowrank);
    return l;
  }();
  return &level;
}

}  // namespace laxity
