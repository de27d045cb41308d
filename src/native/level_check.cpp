// The self-test of a level: every function against the portable one.
#include <cmath>
#include <cstring>
#include <random>

#include "buffer.h"
#include "level.h"

namespace laxity {
namespace {

// Every look-up function against the portable one, on random indices and rows.
bool tables_agree(const Level& level) {
  constexpr int64_t kPairs = 37, kRows = 5;
  const Level& reference = *level_portable();
  std::minstd_rand random(7);
  Buffer memory[6];
  uint8_t* indices = memory[0].get<uint8_t>(kPairs * kTile + kSlack);
  uint8_t* table = memory[1].get<uint8_t>(kRows * 512);
  int32_t* found = memory[2].get<int32_t>(kTile);
  int32_t* wanted = memory[3].get<int32_t>(kTile);
  int32_t* ordered = memory[4].get<int32_t>(kTile);
  uint8_t* arranged = memory[5].get<uint8_t>(kRows * 512);
  uint32_t offsets[kPairs];
  uint8_t rows[kPairs];
  for (int64_t i = 0; i < kPairs; ++i) offsets[i] = static_cast<uint32_t>(i * kTile);
  for (int64_t i = 0; i < kPairs; ++i) rows[i] = static_cast<uint8_t>(random() % kRows);
  for (int entries = 0; entries < static_cast<int>(Entries::kCount); ++entries)
    for (int planes = 0; planes < 2; ++planes)
      for (int width = 0; width < kWidths; ++width) {
        const int mask = (1 << (8 - width)) - 1;
        const auto kind = static_cast<Entries>(entries);
        const int last = kind == Entries::kSigned ? 255 : entry_count(kind) - 1;
        for (int64_t i = 0; i < kPairs * kTile; ++i) indices[i] = static_cast<uint8_t>((random() >> 8) & last);
        for (int64_t i = 0; i < kRows * 512; ++i) table[i] = static_cast<uint8_t>((random() >> 8) & mask);
        if (level.arrange) level.arrange(table, kRows * (planes + 1), kind, arranged);
        const uint8_t* own = level.arrange ? arranged : table;
        for (int blocks = 0; blocks < kMaxBlocks; ++blocks) {
          for (const bool first : {true, false}) {
            level.table[entries][planes][width][blocks](indices, offsets, rows, own, kPairs, found, first);
            reference.table[entries][planes][width][blocks](indices, offsets, rows, table, kPairs, wanted, first);
          }
          for (int b = 0; b <= blocks; ++b) level.natural(found + b * kBlock, nullptr, ordered + b * kBlock);
          if (std::memcmp(ordered, wanted, sizeof(int32_t) * kBlock * (blocks + 1)) != 0) return false;
        }
      }
  return true;
}

constexpr int64_t kChannels = 21, kPixels = 37, kPitch = 41;

// Both ways to quantise; `bad` replaces one of the elements where it is not finite.
bool quantisers_agree(const Level& level, const Quantiser& q, float bad) {
  const Level& reference = *level_portable();
  std::minstd_rand random(11);
  Buffer memory[3];
  float* x = memory[0].get<float>(kChannels * kPixels);
  uint8_t* found = memory[1].get<uint8_t>(kChannels * kPitch + kSlack);
  uint8_t* wanted = memory[2].get<uint8_t>(kChannels * kPitch + kSlack);
  const auto same = [&](bool one, bool other, int64_t count) {
    return one == other && (!one || std::memcmp(found, wanted, count) == 0);
  };
  // Half steps hit the ties; some elements lie far beyond the codes.
  for (int64_t i = 0; i < kChannels * kPixels; ++i)
    x[i] = 0.5f * q.scale * (static_cast<float>(random() % 1400) - 700.0f) * (i % 50 == 7 ? 1e35f : 1.0f);
  if (!std::isfinite(bad)) x[kChannels * kPixels - 5] = bad;
  for (const int64_t stride : {int64_t{1}, int64_t{3}}) {
    const int64_t count = kChannels * kPixels / stride;
    if (!same(level.quantise(x, stride, count, q, found), reference.quantise(x, stride, count, q, wanted), count))
      return false;
  }
  std::memset(found, 0, kChannels * kPitch);
  std::memset(wanted, 0, kChannels * kPitch);
  return same(level.quantise_planes(x, kChannels, kPixels, kChannels, q, found, kPitch),
              reference.quantise_planes(x, kChannels, kPixels, kChannels, q, wanted, kPitch), kChannels * kPitch);
}

bool quantising_agrees(const Level& level) {
  uint8_t map[256];
  for (int i = 0; i < 256; ++i) map[i] = static_cast<uint8_t>(255 - 3 * i);
  const Quantiser quantisers[] = {{0.3f, 0.0f, 0.0f, 127.0f, nullptr}, {0.25f, 9.0f, -128.0f, 127.0f, map}};
  for (const Quantiser& q : quantisers)
    for (const float bad : {0.0f, INFINITY, -INFINITY, NAN})
      if (!quantisers_agree(level, q, bad)) return false;
  return true;
}

bool lists_agree(const Level& level) {
  constexpr int64_t kCount = 203;
  const Level& reference = *level_portable();
  std::minstd_rand random(13);
  uint8_t codes[kCount], found[kCount + kSlack], wanted[kCount + kSlack];
  uint32_t offsets[kCount + kSlack], right[kCount + kSlack];
  for (uint8_t& code : codes) code = static_cast<uint8_t>((random() >> 8) % 3 * 100);
  for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{64}, kCount}) {
    const int64_t count = level.compress(codes, n, 100, 7, 320, offsets, found);
    if (count != reference.compress(codes, n, 100, 7, 320, right, wanted)) return false;
    if (std::memcmp(found, wanted, count) != 0 || std::memcmp(offsets, right, count * sizeof(uint32_t)) != 0)
      return false;
  }
  return true;
}

// natural() tells which accumulator belongs to which output; tables_agree() has tested it.
bool scaling_agrees(const Level& level) {
  std::minstd_rand random(17);
  alignas(64) int32_t acc[kBlock], ordered[kBlock], constant[kBlock];
  float scale[kBlock], gain[kBlock], bias[kBlock], found[kBlock], wanted[kBlock];
  for (int i = 0; i < kBlock; ++i) {
    acc[i] = static_cast<int32_t>(random());
    constant[i] = static_cast<int32_t>(random()) - (1 << 30);
    scale[i] = static_cast<float>(random() % 1000) * 1e-5f;
    gain[i] = static_cast<float>(random() % 1000) * 1e-3f;
    bias[i] = static_cast<float>(random() % 1000) - 500.0f;
  }
  const Level& reference = *level_portable();
  const Lanes lanes{constant, scale, gain, bias};
  level.natural(acc, nullptr, ordered);
  level.scaled_lanes(acc, -12345, lanes, found);
  reference.scaled_lanes(ordered, -12345, lanes, wanted);
  if (std::memcmp(found, wanted, sizeof(found)) != 0) return false;
  const Scaling scaling{scale[1], gain[1], bias[1]};
  level.scaled(acc, acc, 77, scaling, found);
  reference.scaled(ordered, ordered, 77, scaling, wanted);
  if (std::memcmp(found, wanted, sizeof(found)) != 0) return false;
  level.scaled(acc, nullptr, -5, scaling, found);
  reference.scaled(ordered, nullptr, -5, scaling, wanted);
  return std::memcmp(found, wanted, sizeof(found)) == 0;
}

bool transposing_agrees(const Level& level) {
  constexpr int64_t kChannels = 16, kPositions = 37, kPitch = 40, kOut = 19;
  float x[kChannels * kPitch], found[kPositions * kOut], wanted[kPositions * kOut];
  for (int64_t i = 0; i < kChannels * kPitch; ++i) x[i] = static_cast<float>(i);
  for (const int64_t channels : {int64_t{1}, int64_t{9}, kChannels})
    for (const int64_t positions : {int64_t{1}, int64_t{16}, kPositions}) {
      for (int64_t i = 0; i < kPositions * kOut; ++i) found[i] = wanted[i] = -1.0f;
      level.transpose(x, kPitch, channels, positions, found, kOut);
      level_portable()->transpose(x, kPitch, channels, positions, wanted, kOut);
      if (std::memcmp(found, wanted, sizeof(found)) != 0) return false;
    }
  return true;
}

}  // namespace

bool level_agrees(const Level& level) {
  return tables_agree(level) && quantising_agrees(level) && lists_agree(level) && scaling_agrees(level) &&
         transposing_agrees(level);
}

}  // namespace laxity
