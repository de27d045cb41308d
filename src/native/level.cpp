#include "level.h"

#include <cstring>
#include <random>
#include <stdexcept>
#include <string>

#include "buffer.h"

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
  Buffer memory[5];
  uint8_t* indices = memory[0].get<uint8_t>(kPairs * kTile + kSlack);
  uint8_t* table = memory[1].get<uint8_t>(kRows * 512);
  int32_t* found = memory[2].get<int32_t>(kTile);
  int32_t* wanted = memory[3].get<int32_t>(kTile);
  int32_t* ordered = memory[4].get<int32_t>(kTile);
  uint32_t offsets[kPairs];
  uint8_t rows[kPairs];
  for (int64_t i = 0; i < kPairs * kTile; ++i) indices[i] = static_cast<uint8_t>(random() >> 8);
  for (int64_t i = 0; i < kPairs; ++i) offsets[i] = static_cast<uint32_t>(i * kTile);
  for (int64_t i = 0; i < kPairs; ++i) rows[i] = static_cast<uint8_t>(random() % kRows);
  for (int entries = 0; entries < static_cast<int>(Entries::kCount); ++entries)
    for (int planes = 0; planes < 2; ++planes)
      for (int width = 0; width < kWidths; ++width) {
        const int mask = (1 << (8 - width)) - 1;
        for (int64_t i = 0; i < kRows * 512; ++i) table[i] = static_cast<uint8_t>((random() >> 8) & mask);
        for (int blocks = 0; blocks < kMaxBlocks; ++blocks) {
          for (const bool first : {true, false}) {
            level.table[entries][planes][width][blocks](indices, offsets, rows, table, kPairs, found, first);
            reference.table[entries][planes][width][blocks](indices, offsets, rows, table, kPairs, wanted, first);
          }
          for (int b = 0; b <= blocks; ++b) level.natural(found + b * kBlock, nullptr, ordered + b * kBlock);
          if (std::memcmp(ordered, wanted, sizeof(int32_t) * kBlock * (blocks + 1)) != 0) return false;
        }
      }
  return true;
}

const Level* usable(const Level* level) { return tables_agree(*level) ? level : nullptr; }

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
