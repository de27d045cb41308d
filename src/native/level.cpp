#include "level.h"

#include <cstring>
#include <random>
#include <stdexcept>
#include <string>

#include "buffer.h"
#include "lowrank.h"

namespace laxity {
namespace {

bool cpu_has_avx512() {
#if defined(LAXITY_AVX512)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni") &&
         __builtin_cpu_supports("gfni") && __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

bool cpu_has_avx2() {
#if defined(LAXITY_AVX2)
  return __builtin_cpu_supports("avx2");
#else
  return false;
#endif
}

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

// Quantising, listing and scaling against the portable functions.
bool elements_agree(const Level& level) {
  constexpr int64_t kCount = 150, kChannels = 21, kPixels = 37, kPitch = 41;
  const Level& reference = *level_portable();
  std::minstd_rand random(11);
  Buffer memory[4];
  float* x = memory[0].get<float>(kChannels * kPixels + 3);
  uint8_t* map = memory[1].get<uint8_t>(256);
  uint8_t* found = memory[2].get<uint8_t>(kChannels * kPitch + kSlack);
  uint8_t* wanted = memory[3].get<uint8_t>(kChannels * kPitch + kSlack);
  for (int i = 0; i < 256; ++i) map[i] = static_cast<uint8_t>(255 - 3 * i);
  // Multiples of half a step hit the ties; some lie far beyond the codes.
  for (int64_t i = 0; i < kChannels * kPixels + 3; ++i)
    x[i] = 0.125f * (static_cast<float>(random() % 1400) - 700.0f) * (i % 50 == 7 ? 1e36f : 1.0f);
  const Quantiser quantisers[] = {{0.25f, 0.0f, 0.0f, 255.0f, nullptr}, {0.25f, 9.0f, -128.0f, 127.0f, map}};
  for (const Quantiser& q : quantisers) {
    for (const float special : {x[5], INFINITY, -INFINITY, NAN}) {
      x[5] = special;
      const bool finite = std::isfinite(special);
      for (const int64_t stride : {1, 5}) {
        const int64_t count = stride == 1 ? kCount + 3 : kCount;
        if (level.quantise(x, stride, count, q, found) != (finite || stride > 1 ? reference.quantise(x, stride, count, q, wanted) : false))
          return false;
      }
    }
  }
  return true;
}

const Level* usable(const Level* level) { return tables_agree(*level) && lowrank_agrees(*level) ? level : nullptr; }

const Level* avx512() {
#if defined(LAXITY_AVX512)
  static const Level* const level = cpu_has_avx512() ? usable(level_avx512()) : nullptr;
  return level;
#else
  return nullptr;
#endif
}

const Level* avx2() {
#if defined(LAXITY_AVX2)
  static const Level* const level = cpu_has_avx2() ? usable(level_avx2()) : nullptr;
  return level;
#else
  return nullptr;
#endif
}

}  // namespace

const Level& level_named(const char* name) {
  const std::string wanted = name;
  const bool best = wanted.empty();
  if ((best || wanted == "avx512") && avx512()) return *avx512();
  if ((best || wanted == "avx2") && avx2()) return *avx2();
  if (best || wanted == "portable") return *level_portable();
  throw std::invalid_argument("instruction set '" + wanted + "' is unknown or not available here");
}

}  // namespace laxity
