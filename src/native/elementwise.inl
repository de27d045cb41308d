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

// A number that changes with any change of the bytes, but for accidents of one in 2^60 or so.
static uint64_t fingerprint(const uint8_t* data, int64_t bytes) {
  constexpr int kLanes = 16;
  constexpr int64_t kStripe = kLanes * 8;
  uint64_t sum[kLanes], key[kLanes];
  for (int j = 0; j < kLanes; ++j) {
    sum[j] = 0x9e3779b97f4a7c15ull * (j + 1);
    key[j] = 0xd6e8feb86659fd93ull * (2 * j + 1);
  }
  for (int64_t i = 0; i < bytes; i += kStripe) {
    uint64_t word[kLanes] = {};
    if (bytes - i >= kStripe) {
      __builtin_memcpy(word, data + i, kStripe);
    } else {
      __builtin_memcpy(word, data + i, bytes - i);
    }
    for (int j = 0; j < kLanes; ++j) {
      const uint64_t mixed = word[j] ^ key[j];
      // The key moves on, so that equal stripes at different places count differently.
      sum[j] += (mixed & 0xffffffffu) * (mixed >> 32) + (word[j] << 32 | word[j] >> 32);
      key[j] += 0x632be59bd9b4e019ull;
    }
  }
  uint64_t total = static_cast<uint64_t>(bytes);
  for (int j = 0; j < kLanes; ++j) {
    total = (total ^ sum[j]) * 0xff51afd7ed558ccdull;
    total ^= total >> 33;
  }
  return total;
}
