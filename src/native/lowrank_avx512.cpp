// Products of mapped operands by the dot products of AVX-512 VNNI: four unsigned by four signed bytes per lane, exact.
#include <immintrin.h>

#include "avx512_encoder.h"
#include "level.h"

namespace laxity {
namespace {

constexpr int kTileRows[kMaxVectors] = {8, 8, 8, 6};
// Floats by which reading runs ahead of quantising: a stream per channel is more than the hardware foresees.
constexpr int64_t kAhead = 64;

INLINE __mmask16 lanes(int64_t count) { return count >= 16 ? 0xffff : static_cast<__mmask16>((1u << count) - 1); }

// ------------------------------------------------------------------------------------------------------- products

template <int VECTORS, int ROWS>
__attribute__((noinline)) void micro(const LowrankTile& tile) {
  __m512i sum[ROWS][VECTORS];
  const uint8_t* a[ROWS];
  UNROLL for (int m = 0; m < ROWS; ++m) {
    a[m] = tile.rows[m];
    UNROLL for (int v = 0; v < VECTORS; ++v) sum[m][v] = _mm512_setzero_si512();
  }
  const int8_t* w = tile.weights;
  const int64_t pitch = tile.pitch, length = tile.quads * kQuad;
  for (int64_t run = 0; run < tile.runs; ++run) {
    const int64_t from = tile.offsets[run];
    for (int64_t i = from; i != from + length; i += kQuad, w += kVector * kQuad) {
      __m512i weights[VECTORS];
      UNROLL for (int v = 0; v < VECTORS; ++v) weights[v] = _mm512_loadu_si512(w + v * pitch);
      UNROLL for (int m = 0; m < ROWS; ++m) {
        int32_t quad;
        __builtin_memcpy(&quad, a[m] + i, sizeof(quad));
        const __m512i input = _mm512_set1_epi32(quad);
        UNROLL for (int v = 0; v < VECTORS; ++v) sum[m][v] = _mm512_dpbusd_epi32(sum[m][v], input, weights[v]);
      }
    }
  }
  const __m512i factor = _mm512_set1_epi32(tile.factor);
  UNROLL for (int m = 0; m < ROWS; ++m) {
    UNROLL for (int v = 0; v < VECTORS; ++v) {
      int32_t* to = tile.acc + m * kWideTile + v * kVector;
      if (tile.factor != 1) sum[m][v] = _mm512_mullo_epi32(sum[m][v], factor);
      _mm512_store_si512(to, tile.first ? sum[m][v] : _mm512_add_epi32(sum[m][v], _mm512_load_si512(to)));
    }
  }
}

// ------------------------------------------------------------------------------------------------------ finishing

struct Scaler {
  __m512i constant;
  __m512 scale, gain, bias;

  INLINE Scaler(const LowrankScaling& s, int64_t n, __mmask16 live) {
    const __m256i low = _mm512_cvtepi64_epi32(_mm512_maskz_loadu_epi64(static_cast<__mmask8>(live), s.constants + n));
    const __m256i high =
        _mm512_cvtepi64_epi32(_mm512_maskz_loadu_epi64(static_cast<__mmask8>(live >> 8), s.constants + n + 8));
    constant = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    scale = _mm512_maskz_loadu_ps(live, s.scale + n);
    gain = _mm512_maskz_loadu_ps(live, s.gain + n);
    bias = s.bias ? _mm512_maskz_loadu_ps(live, s.bias + n) : _mm512_setzero_ps();
  }

  INLINE __m512 apply(const int32_t* acc) const {
    const __m512 v = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_load_si512(acc), constant));
    return _mm512_add_ps(_mm512_mul_ps(_mm512_mul_ps(v, scale), gain), bias);
  }
};

// 16 x 16 floats: row r of the result holds element r of every input.
INLINE void transpose16(__m512 r[16]) {
  __m512 t[16];
  UNROLL for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  UNROLL for (int i = 0; i < 16; i += 4) {
    UNROLL for (int j = 0; j < 2; ++j) {
      const __m512d a = _mm512_castps_pd(t[i + j]), b = _mm512_castps_pd(t[i + j + 2]);
      r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
      r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    }
  }
  // Quarter q of r[4 i + j] now holds elements 4 i ... 4 i + 3 of output 4 q + j.
  UNROLL for (int j = 0; j < 4; ++j) {
    const __m512 a = _mm512_shuffle_f32x4(r[j], r[4 + j], 0x88), b = _mm512_shuffle_f32x4(r[j], r[4 + j], 0xdd);
    const __m512 c = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0x88);
    const __m512 d = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0xdd);
    t[j] = _mm512_shuffle_f32x4(a, c, 0x88);
    t[4 + j] = _mm512_shuffle_f32x4(b, d, 0x88);
    t[8 + j] = _mm512_shuffle_f32x4(a, c, 0xdd);
    t[12 + j] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
  UNROLL for (int i = 0; i < 16; ++i) r[i] = t[i];
}

void planes(const int32_t* acc, int64_t positions, int64_t outputs, const LowrankScaling& s, float* out,
            int64_t pitch) {
  for (int64_t n = 0; n < outputs; n += kVector) {
    const Scaler scaler(s, n, lanes(outputs - n));
    const int64_t wide = outputs - n < kVector ? outputs - n : kVector;
    for (int64_t m = 0; m < positions; m += 16) {
      __m512 r[16];
      UNROLL for (int i = 0; i < 16; ++i) r[i] = scaler.apply(acc + (m + i) * kWideTile + n);
      transpose16(r);
      float* to = out + n * pitch + m;
      if (wide == kVector && positions - m >= 16) {
        if (s.streamed && ((reinterpret_cast<uintptr_t>(to) | (sizeof(float) * pitch)) & 63) == 0) {
          UNROLL for (int i = 0; i < 16; ++i) _mm512_stream_ps(to + i * pitch, r[i]);
        } else {
          UNROLL for (int i = 0; i < 16; ++i) _mm512_storeu_ps(to + i * pitch, r[i]);
        }
      } else {
        const __mmask16 live = lanes(positions - m);
        alignas(64) __m512 rows[16];
        UNROLL for (int i = 0; i < 16; ++i) rows[i] = r[i];
        for (int64_t i = 0; i < wide; ++i) _mm512_mask_storeu_ps(to + i * pitch, live, rows[i]);
      }
    }
  }
  if (s.streamed) _mm_sfence();  // streamed stores are ordered by nothing else
}

void columns(const int32_t* acc, int64_t positions, int64_t outputs, const LowrankScaling& s, float* out,
             int64_t pitch) {
  for (int64_t n = 0; n < outputs; n += kVector) {
    const __mmask16 live = lanes(outputs - n);
    const Scaler scaler(s, n, live);
    for (int64_t m = 0; m < positions; ++m) {
      float* to = out + m * pitch + n;
      const __m512 v = scaler.apply(acc + m * kWideTile + n);
      if (s.streamed && live == 0xffff && (reinterpret_cast<uintptr_t>(to) & 63) == 0) {
        _mm512_stream_ps(to, v);
      } else {
        _mm512_mask_storeu_ps(to, live, v);
      }
    }
  }
  if (s.streamed) _mm_sfence();
}

// ----------------------------------------------------------------------------------------------------- quantising

INLINE int64_t padded(int64_t channels) { return (channels + kQuad - 1) / kQuad * kQuad; }

INLINE __m512i join(const __m128i r[4]) {
  const __m512i a = _mm512_inserti32x4(_mm512_castsi128_si512(r[0]), r[1], 1);
  return _mm512_inserti32x4(_mm512_inserti32x4(a, r[2], 2), r[3], 3);
}

struct Map {
  __m512i part[4];

  INLINE explicit Map(const uint8_t* map) {
    UNROLL for (int i = 0; i < 4; ++i) part[i] = _mm512_loadu_si512(map + 64 * i);
  }

  INLINE __m512i translate(__m512i code) const {
    const __m512i lower = _mm512_permutex2var_epi8(part[0], code, part[1]);
    const __m512i upper = _mm512_permutex2var_epi8(part[2], code, part[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(code), lower, upper);
  }
};

// Channels next to each other: 64 of them at a time.
bool quantise_channels(const float* x, int64_t pixel_stride, int64_t pixels, int64_t channels, const Quantiser& q,
                       const MappedTerm* terms, int64_t count) {
  const Encoder encoder(q);
  const int64_t stored = padded(channels);
  __mmask16 bad = 0;
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t c = 0; c < channels; c += 64) {
      const float* from = x + p * pixel_stride + c;
      __m128i part[4] = {};
      for (int i = 0; i < 4 && c + 16 * i < channels; ++i)
        part[i] = encoder.encode(_mm512_maskz_loadu_ps(lanes(channels - c - 16 * i), from + 16 * i), bad);
      const __m512i codes = join(part);
      for (int64_t t = 0; t < count; ++t) {
        const __m512i mapped = Map(terms[t].map).translate(codes);
        uint8_t* to = terms[t].out + p * terms[t].pitch + c;
        if (stored - c >= 64) {
          _mm512_storeu_si512(to, mapped);
        } else {
          _mm512_mask_storeu_epi8(to, (uint64_t{1} << (stored - c)) - 1, mapped);
        }
      }
    }
  return bad == 0;
}

// Writes 16 pixels of up to 16 channels, mapped.
INLINE void store_mapped(const __m512i codes[4], const MappedTerm* terms, int64_t count, int64_t pixel, int64_t pixels,
                         int64_t channel, int64_t width) {
  const __mmask16 live = lanes(width);
  for (int64_t t = 0; t < count; ++t) {
    const Map map(terms[t].map);
    alignas(64) uint8_t mapped[256];
    UNROLL for (int i = 0; i < 4; ++i) _mm512_store_si512(mapped + 64 * i, map.translate(codes[i]));
    const int64_t pitch = terms[t].pitch;
    uint8_t* to = terms[t].out + pixel * pitch + channel;
    if (live == 0xffff) {
      for (int64_t i = 0; i < pixels; ++i)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * pitch),
                         _mm_load_si128(reinterpret_cast<const __m128i*>(mapped + 16 * i)));
    } else {
      for (int64_t i = 0; i < pixels; ++i)
        _mm_mask_storeu_epi8(to + i * pitch, live,
                             _mm_load_si128(reinterpret_cast<const __m128i*>(mapped + 16 * i)));
    }
  }
}

// Up to 16 floats at equal distances.
struct Gatherer {
  int64_t stride;
  bool near;
  __m512i index;

  INLINE explicit Gatherer(int64_t s) : stride(s), near(s < (int64_t{1} << 26) && s > -(int64_t{1} << 26)) {
    const __m512i steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    index = _mm512_mullo_epi32(steps, _mm512_set1_epi32(static_cast<int>(near ? s : 0)));
  }

  INLINE __m512 load(const float* from, int64_t count) const {
    const __mmask16 live = lanes(count);
    if (stride == 1) return _mm512_maskz_loadu_ps(live, from);
    if (stride == 2) {
      const int64_t last = 2 * count - 1;
      const __m512 high = last > 16 ? _mm512_maskz_loadu_ps(lanes(last - 16), from + 16) : _mm512_setzero_ps();
      return _mm512_permutex2var_ps(_mm512_maskz_loadu_ps(lanes(last), from), index, high);
    }
    if (near) return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), live, index, from, 4);
    alignas(64) float copy[16] = {};
    for (int64_t i = 0; i < count; ++i) copy[i] = from[i * stride];
    return _mm512_load_ps(copy);
  }
};

// Pixels next to each other, or nothing: tiles of 16 x 16 are transposed.
bool quantise_tiles(const float* x, int64_t pixel_stride, int64_t channel_stride, int64_t pixels, int64_t channels,
                    const Quantiser& q, const MappedTerm* terms, int64_t count) {
  const Encoder encoder(q);
  const Gatherer gatherer(pixel_stride);
  __mmask16 bad = 0;
  for (int64_t c = 0; c < channels; c += 16)
    for (int64_t p = 0; p < pixels; p += 16) {
      const int64_t wide = channels - c < 16 ? channels - c : 16, here = pixels - p < 16 ? pixels - p : 16;
      __m128i rows[16];
      for (int i = 0; i < 16; ++i) {
        rows[i] = _mm_setzero_si128();
        if (i >= wide) continue;
        const float* from = x + (c + i) * channel_stride + p * pixel_stride;
        _mm_prefetch(reinterpret_cast<const char*>(from + kAhead), _MM_HINT_T0);
        rows[i] = encoder.encode(gatherer.load(from, here), bad);
      }
      transpose16(rows);
      const __m512i codes[4] = {join(rows), join(rows + 4), join(rows + 8), join(rows + 12)};
      store_mapped(codes, terms, count, p, here, c, padded(wide));
    }
  return bad == 0;
}

bool quantise(const float* x, int64_t pixel_stride, int64_t channel_stride, int64_t pixels, int64_t channels,
              const Quantiser& q, const MappedTerm* terms, int64_t count) {
  // A few channels fill no vector, so that gathering many pixels of each is faster.
  return channel_stride == 1 && (channels > 8 || pixels == 1)
             ? quantise_channels(x, pixel_stride, pixels, channels, q, terms, count)
             : quantise_tiles(x, pixel_stride, channel_stride, pixels, channels, q, terms, count);
}

// -------------------------------------------------------------------------------------------------------- filling

template <int VECTORS, int ROWS>
void fill(LowrankLevel& level) {
  level.micro[VECTORS - 1][ROWS - 1] = micro<VECTORS, ROWS>;
  if constexpr (ROWS > 1) fill<VECTORS, ROWS - 1>(level);
}

}  // namespace

void fill_lowrank_avx512(LowrankLevel& level) {
  for (int v = 0; v < kMaxVectors; ++v) level.rows[v] = kTileRows[v];
  fill<1, kTileRows[0]>(level);
  fill<2, kTileRows[1]>(level);
  fill<3, kTileRows[2]>(level);
  fill<4, kTileRows[3]>(level);
  level.quantise = quantise;
  level.planes = planes;
  level.columns = columns;
}

}  // namespace laxity
