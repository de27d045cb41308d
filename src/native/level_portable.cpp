// The reference level: plain C++ for any CPU.
#include <cmath>
#include <cstring>

#include "level.h"

namespace laxity {
namespace {

#include "elementwise.inl"

bool encode(float x, const Quantiser& q, uint8_t& out) {
  if (!std::isfinite(x)) return false;
  float code = std::nearbyint(x / q.scale) + q.zero;
  code = code < q.low ? q.low : code > q.high ? q.high : code;
  out = q.encode(static_cast<int>(code));
  return true;
}

bool quantise(const float* x, int64_t stride, int64_t n, const Quantiser& q, uint8_t* out) {
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) finite &= encode(x[i * stride], q, out[i]);
  return finite;
}

bool quantise_planes(const float* x, int64_t pixel_stride, int64_t pixels, int64_t channels, const Quantiser& q,
                     uint8_t* out, int64_t plane) {
  bool finite = true;
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t c = 0; c < channels; ++c) finite &= encode(x[p * pixel_stride + c], q, out[c * plane + p]);
  return finite;
}

void pack(const uint8_t* image, const int64_t* offset, int64_t k, const Run* runs, int64_t count, uint8_t* out) {
  for (int64_t i = 0; i < k; ++i)
    for (int64_t r = 0; r < count; ++r)
      std::memcpy(out + i * kTile + runs[r].start, image + offset[i] + runs[r].source, runs[r].length);
}

int64_t compress(const uint8_t* codes, int64_t n, uint8_t skip, uint32_t base, uint32_t step, uint32_t* offsets,
                 uint8_t* rows) {
  int64_t found = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (codes[i] == skip) continue;
    offsets[found] = base + static_cast<uint32_t>(i) * step;
    rows[found++] = codes[i];
  }
  return found;
}

template <Entries E, int PLANES, int BITS, int BLOCKS>
void micro(const uint8_t* a, const uint32_t* offset, const uint8_t* row, const uint8_t* table, int64_t k, int32_t* acc,
           bool first) {
  constexpr int kCount = entry_count(E);
  constexpr bool kSign = E == Entries::kSigned;
  constexpr int kFlip = (1 << (BITS * PLANES)) - 1;
  if (first) std::memset(acc, 0, sizeof(int32_t) * kBlock * BLOCKS);
  for (int64_t i = 0; i < k; ++i) {
    const uint8_t* planes = table + static_cast<int64_t>(row[i]) * PLANES * kCount;
    int32_t values[kSign ? 2 * kCount : kCount];
    for (int e = 0; e < kCount; ++e) {
      values[e] = planes[e] + (PLANES == 2 ? planes[kCount + e] << BITS : 0);
      if (kSign) values[kCount + e] = values[e] ^ kFlip;
    }
    const uint8_t* index = a + offset[i];
    for (int m = 0; m < kBlock * BLOCKS; ++m) {
      const auto value = static_cast<uint32_t>(values[kSign ? index[m] : index[m] & (kCount - 1)]);
      acc[m] = static_cast<int32_t>(static_cast<uint32_t>(acc[m]) + value);
    }
  }
}

void natural(const int32_t* acc, const int32_t* base, int32_t* out) {
  for (int m = 0; m < kBlock; ++m)
    out[m] = static_cast<int32_t>(static_cast<uint32_t>(acc[m]) - (base ? static_cast<uint32_t>(base[m]) : 0u));
}

void scaled(const int32_t* acc, const int32_t* base, int32_t constant, const Scaling& s, float* out) {
  int32_t total[kBlock];
  natural(acc, base, total);
  for (int m = 0; m < kBlock; ++m) {
    const uint32_t sum = static_cast<uint32_t>(total[m]) + static_cast<uint32_t>(constant);
    out[m] = static_cast<float>(static_cast<int32_t>(sum)) * s.scale * s.gain + s.bias;
  }
}

void scaled_lanes(const int32_t* acc, int32_t shift, const Lanes& lanes, float* out) {
  for (int m = 0; m < kBlock; ++m) {
    const uint32_t sum = static_cast<uint32_t>(acc[m]) + static_cast<uint32_t>(shift) +
                         static_cast<uint32_t>(lanes.constant[m]);
    out[m] = static_cast<float>(static_cast<int32_t>(sum)) * lanes.scale[m] * lanes.gain[m] + lanes.bias[m];
  }
}

void transpose(const float* x, int64_t pitch, int64_t channels, int64_t positions, float* out, int64_t out_pitch) {
  for (int64_t j = 0; j < positions; ++j)
    for (int64_t c = 0; c < channels; ++c) out[j * out_pitch + c] = x[c * pitch + j];
}

#include "level_fill.inl"

}  // namespace

const Level* level_portable() {
  static const Level level = [] {
    Level l = functions("portable");
    fill_lowrank_portable(l.lowrank);
    return l;
  }();
  return &level;
}

}  // namespace laxity
