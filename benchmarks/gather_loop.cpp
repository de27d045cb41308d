// Emulation as it is usually written for CPUs: quantise the input, then fetch every single product from a table in memory
// and add it up. Windows are read from the padded image in place. It is what laxity's kernels are compared with.

#include <cmath>
#include <cstdint>
#include <vector>
#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace {

// Sum of table[256 * a[i] + w[i]] for all i below n.
int32_t look_up(const uint8_t* a, const uint8_t* w, int n, const int32_t* table) {
  int32_t sum = 0;
  int i = 0;
#ifdef __AVX2__
  __m256i sums = _mm256_setzero_si256();
  for (; i + 8 <= n; i += 8) {
    const __m256i left = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(a + i)));
    const __m256i right = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(w + i)));
    const __m256i index = _mm256_or_si256(_mm256_slli_epi32(left, 8), right);
    sums = _mm256_add_epi32(sums, _mm256_i32gather_epi32(table, index, 4));
  }
  alignas(32) int32_t lanes[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), sums);
  for (const int32_t lane : lanes) sum += lane;
#endif
  for (; i < n; ++i) sum += table[256 * a[i] + w[i]];
  return sum;
}

}  // namespace

// A convolution with stride 1 that keeps the size of its input; x and y are contiguous (batch, channels, size, size).
// weights: table columns (outputs, taps, inputs); table: (256, 256), row = activation code; codes: 0 to `top`.
extern "C" void gather_convolution(const float* x, float* y, const uint8_t* weights, const int32_t* table,
                                   const float* scales, const float* bias, float scale, int top, int batch, int inputs,
                                   int outputs, int size, int kernel, int threads) {
  const int edge = kernel / 2, wide = size + 2 * edge, taps = kernel * kernel;
  std::vector<uint8_t> codes(static_cast<size_t>(batch) * wide * wide * inputs, 0);
#pragma omp parallel for num_threads(threads) collapse(2)
  for (int b = 0; b < batch; ++b)
    for (int row = 0; row < size; ++row)
      for (int c = 0; c < inputs; ++c)
        for (int column = 0; column < size; ++column) {
          const float value = x[((static_cast<size_t>(b) * inputs + c) * size + row) * size + column];
          const float code = std::fmin(std::fmax(std::nearbyint(value / scale), 0.0F), static_cast<float>(top));
          codes[((static_cast<size_t>(b) * wide + row + edge) * wide + column + edge) * inputs + c] =
              static_cast<uint8_t>(code);
        }
#pragma omp parallel for num_threads(threads) collapse(2)
  for (int b = 0; b < batch; ++b)
    for (int row = 0; row < size; ++row)
      for (int n = 0; n < outputs; ++n)
        for (int column = 0; column < size; ++column) {
          int32_t sum = 0;
          for (int tap = 0; tap < taps; ++tap) {
            const size_t at = (static_cast<size_t>(b) * wide + row + tap / kernel) * wide + column + tap % kernel;
            sum += look_up(&codes[at * inputs], weights + (static_cast<size_t>(n) * taps + tap) * inputs, inputs, table);
          }
          y[((static_cast<size_t>(b) * outputs + n) * size + row) * size + column] =
              static_cast<float>(sum) * scales[n] + bias[n];
        }
}
