// Loops that every level compiles for itself; the compiler vectorises them. To be included inside its namespace.

// Round half to even for |v| < 2^22; beyond, the result only has to stay beyond every code.
static inline float nearest(float v) {
  const float bound = 4000000.0f, magic = 12582912.0f;  // 1.5 * 2^23: its last bit counts ones
  v = v < -bound ? -bound : v > bound ? bound : v;
  return (v + magic) - magic;
}

// out = (clamp(round(x / scale) + zero, low, high) - zero) * scale
static void represent(const float* x, int64_t n, const Quantiser& q, float* out) {
  const float scale = q.scale, zero = q.zero, low = q.low, high = q.high;
  for (int64_t i = 0; i < n; ++i) {
    float code = nearest(x[i] / scale) + zero;
    code = code < low ? low : code > high ? high : code;
    out[i] = (code - zero) * scale;
  }
}

// out = gradient where x is not clipped, else 0
static void pass_gradient(const float* gradient, const float* x, int64_t n, const Quantiser& q, float* out) {
  const float scale = q.scale, zero = q.zero, low = q.low, high = q.high;
  for (int64_t i = 0; i < n; ++i) {
    const float code = nearest(x[i] / scale) + zero;
    out[i] = code >= low && code <= high ? gradient[i] : 0.0f;
  }
}
