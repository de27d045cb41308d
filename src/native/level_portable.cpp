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

template <int COUNT, bool SIGNED, int PLANES, int BITS, int BLOCKS>
void micro(const uint8_t* a, const uint32_t* offset, const uint8_t* row, const uint8_t* table, int64_t k, int32_t* acc,
           bool first) {
  constexpr int kFlip = (1 << (BITS * PLANES)) - 1;
  if (first) std::memset(acc, 0, sizeof(int32_t) * kBlock * BLOCKS);
  for (int64_t i = 0; i < k; ++i) {
    const uint8_t* planes = table + static_cast<int64_t>(row[i]) * PLANES * COUNT;
    int32_t values[SIGNED ? 2 * COUNT : COUNT];
    for (int e = 0; e < COUNT; ++e) {
      values[e] = planes[e] + (PLANES == 2 ? planes[COUNT + e] << BITS : 0);
      if (SIGNED) values[COUNT + e] = values[e] ^ kFlip;
    }
    const uint8_t* index = a + offset[i];
    for (int m = 0; m < kBlock * BLOCKS; ++m) {
      const auto value = static_cast<uint32_t>(values[SIGNED ? index[m] : index[m] & (COUNT - 1)]);
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

template <Entries E, int PLANES, int BITS>
void fill_blocks(Level& level) {
  constexpr int kCount = E == Entries::k64 ? 64 : E == Entries::k256 ? 256 : 128;
  constexpr bool kSign = E == Entries::kSigned;
  auto& to = level.table[static_cast<int>(E)][PLANES - 1][8 - BITS];
  to[0] = micro<kCount, kSign, PLANES, BITS, 1>;
  to[1] = micro<kCount, kSign, PLANES, BITS, 2>;
  to[2] = micro<kCount, kSign, PLANES, BITS, 3>;
  to[3] = micro<kCount, kSign, PLANES, BITS, 4>;
}

template <Entries E>
void fill(Level& level) {
  fill_blocks<E, 1, 8>(level);
  fill_blocks<E, 1, 7>(level);
  fill_blocks<E, 1, 6>(level);
  fill_blocks<E, 2, 8>(level);
  fill_blocks<E, 2, 7>(level);
  fill_blocks<E, 2, 6>(level);
}

}  // namespace

const Level* level_portable() {
  static const Level level = [] {
    Level l{};
    l.name = "portable";
    l.quantise = quantise;
    l.quantise_planes = quantise_planes;
    l.represent = represent;
    l.fingerprint = fingerprint;
    l.pass_gradient = pass_gradient;
    l.pack = pack;
    l.compress = compress;
    l.scaled = scaled;
    l.scaled_lanes = scaled_lanes;
    l.natural = natural;
    fill_lowrank_portable(l.lowrank);
    fill<Entries::k64>(l);
    fill<Entries::k128>(l);
    fill<Entries::k256>(l);
    fill<Entries::kSigned>(l);
    return l;
  }();
  return &level;
}

}  // namespace laxity
