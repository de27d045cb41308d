// Quantising with AVX-512, for the translation units of that level only: every one has its own copy.
#pragma once

#include <immintrin.h>

#include "level.h"

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

namespace laxity {
namespace {

#include "transpose.inl"

struct Encoder {
  __m512 scale, inverse, zero, low, high;
  __m512i base, map[4];
  bool mapped;

  INLINE explicit Encoder(const Quantiser& q) {
    scale = _mm512_set1_ps(q.scale);
    inverse = _mm512_set1_ps(1.0f / q.scale);
    zero = _mm512_set1_ps(q.zero);
    low = _mm512_set1_ps(q.low);
    high = _mm512_set1_ps(q.high);
    base = _mm512_set1_epi32(static_cast<int>(q.low));
    mapped = q.map != nullptr;
    UNROLL for (int i = 0; i < 4; ++i) map[i] = mapped ? _mm512_loadu_si512(q.map + 64 * i) : _mm512_setzero_si512();
  }

  // round(x / scale). Multiplying by the inverse is several times faster and gives the same number unless the quotient
  // lies within the error of that product, below 2e-7 of it, of a tie; only then the division is done.
  INLINE __m512 nearest(__m512 x) const {
    constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    const __m512 about = _mm512_mul_ps(x, inverse);
    const __m512 code = _mm512_roundscale_ps(about, kMode);
    const __m512 off = _mm512_sub_ps(_mm512_abs_ps(_mm512_sub_ps(about, code)), _mm512_set1_ps(0.5f));
    const __m512 doubt = _mm512_mul_ps(_mm512_abs_ps(about), _mm512_set1_ps(4e-7f));
    // Not less: where the inverse overflows, the comparison is one with NaN.
    const __mmask16 sure = _mm512_cmp_ps_mask(_mm512_abs_ps(off), doubt, _CMP_GT_OQ);
    return sure == 0xffff ? code : _mm512_roundscale_ps(_mm512_div_ps(x, scale), kMode);
  }

  INLINE __m128i encode(__m512 x, __mmask16& bad) const {
    bad |= _mm512_fpclass_ps_mask(x, 0x99);  // quiet and signalling NaN, both infinities
    __m512 code = _mm512_add_ps(nearest(x), zero);
    code = _mm512_min_ps(_mm512_max_ps(code, low), high);
    return _mm512_cvtusepi32_epi8(_mm512_sub_epi32(_mm512_cvtps_epi32(code), base));
  }

  INLINE __m512i translate(__m512i code) const {
    if (!mapped) return code;
    const __m512i lower = _mm512_permutex2var_epi8(map[0], code, map[1]);
    const __m512i upper = _mm512_permutex2var_epi8(map[2], code, map[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(code), lower, upper);
  }

  INLINE __m128i translate(__m128i code) const { return _mm512_castsi512_si128(translate(_mm512_castsi128_si512(code))); }
};

}  // namespace
}  // namespace laxity
