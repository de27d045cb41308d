// 16 x 16 bytes: row r of the result holds byte r of every input. To be included inside a level's namespace.

static INLINE void transpose16(__m128i r[16]) {
  __m128i t[16];
  UNROLL for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm_unpacklo_epi8(r[i], r[i + 8]);
    t[2 * i + 1] = _mm_unpackhi_epi8(r[i], r[i + 8]);
  }
  UNROLL for (int i = 0; i < 8; ++i) {
    r[2 * i] = _mm_unpacklo_epi8(t[i], t[i + 8]);
    r[2 * i + 1] = _mm_unpackhi_epi8(t[i], t[i + 8]);
  }
  UNROLL for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm_unpacklo_epi8(r[i], r[i + 8]);
    t[2 * i + 1] = _mm_unpackhi_epi8(r[i], r[i + 8]);
  }
  UNROLL for (int i = 0; i < 8; ++i) {
    r[2 * i] = _mm_unpacklo_epi8(t[i], t[i + 8]);
    r[2 * i + 1] = _mm_unpackhi_epi8(t[i], t[i + 8]);
  }
}
