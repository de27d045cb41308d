#include <cmath>
#include <cstring>
#include <random>

#include "lowrank.h"

namespace laxity {
namespace {

constexpr int64_t kRuns = 2, kQuads = 5, kStretch = kQuads * kQuad, kRowPitch = 64;

// Every tile against the portable one, with the extremes among the operands: dot products that saturate would show.
bool tiles_agree(const LowrankLevel& level, std::minstd_rand& random) {
  const LowrankLevel& reference = level_portable()->lowrank;
  Buffer memory[4];
  uint8_t* inputs = memory[0].get<uint8_t>(kMaxRows * kRowPitch);
  int8_t* weights = memory[1].get<int8_t>(kMaxVectors * kRuns * kStretch * kVector);
  int32_t* found = memory[2].get<int32_t>(kMaxRows * kWideTile);
  int32_t* wanted = memory[3].get<int32_t>(kMaxRows * kWideTile);
  const auto byte = [&] { return random() % 4 ? static_cast<int>(random() >> 8 & 255) : 255; };
  for (int64_t i = 0; i < kMaxRows * kRowPitch; ++i) inputs[i] = static_cast<uint8_t>(byte());
  for (int64_t i = 0; i < kMaxVectors * kRuns * kStretch * kVector; ++i)
    weights[i] = static_cast<int8_t>(i % 3 ? byte() - 128 : -128);
  const int64_t offsets[kRuns] = {4, 32};
  const uint8_t* rows[kMaxRows];
  for (int m = 0; m < kMaxRows; ++m) rows[m] = inputs + m * kRowPitch;
  for (int vectors = 1; vectors <= kMaxVectors; ++vectors)
    for (int count = 1; count <= level.rows[vectors - 1]; ++count) {
      LowrankTile tile{rows, offsets, kRuns, kQuads, weights, kRuns * kStretch * kVector, 1, true, found};
      for (const int32_t factor : {1, -77777}) {
        tile.factor = factor;
        tile.acc = found;
        level.micro[vectors - 1][count - 1](tile);
        for (int m = 0; m < count; ++m) {
          tile.rows = rows + m;
          tile.acc = wanted + m * kWideTile;
          reference.micro[vectors - 1][0](tile);
          if (std::memcmp(found + m * kWideTile, tile.acc, sizeof(int32_t) * kVector * vectors) != 0) return false;
        }
        tile.rows = rows;
        tile.first = false;
      }
    }
  return true;
}

bool scaling_agrees(const LowrankLevel& level, std::minstd_rand& random) {
  constexpr int64_t kPositions = 21, kOutputs = 37, kCount = kPositions * kOutputs;
  const LowrankLevel& reference = level_portable()->lowrank;
  Buffer memory;
  int32_t* acc = memory.get<int32_t>((kPositions + 15) * kWideTile);
  for (int64_t i = 0; i < (kPositions + 15) * kWideTile; ++i) acc[i] = static_cast<int32_t>(random()) - (1 << 30);
  int64_t constants[kOutputs];
  float numbers[3][kOutputs], found[kCount], wanted[kCount];
  for (int64_t n = 0; n < kOutputs; ++n) {
    constants[n] = static_cast<int64_t>(random() % 9999) - 5000;
    for (auto& row : numbers) row[n] = static_cast<float>(random() % 1000) / 777.0f - 0.5f;
  }
  for (const bool plain : {true, false}) {
    const LowrankScaling scaling{constants, numbers[0], numbers[1], plain ? nullptr : numbers[2], !plain};
    level.planes(acc, kPositions, kOutputs, scaling, found, kPositions);
    reference.planes(acc, kPositions, kOutputs, scaling, wanted, kPositions);
    if (std::memcmp(found, wanted, sizeof(found)) != 0) return false;
    level.columns(acc, kPositions, kOutputs, scaling, found, kOutputs);
    reference.columns(acc, kPositions, kOutputs, scaling, wanted, kOutputs);
    if (std::memcmp(found, wanted, sizeof(found)) != 0) return false;
  }
  return true;
}

// The level's own quantiser against the portable level's function for rows of floats.
bool quantising_agrees(const LowrankLevel& level, std::minstd_rand& random) {
  constexpr int64_t kPixels = 19, kChannels = 22, kPadded = 24, kCount = kPixels * kChannels;
  if (level.quantise == nullptr) return true;
  float x[kCount];
  uint8_t map[256], codes[kCount], found[kPixels * kPadded];
  for (float& value : x) value = static_cast<float>(random() % 4001) / 16.0f - 125.0f;
  for (uint8_t& value : map) value = static_cast<uint8_t>(random() >> 8);
  const Quantiser q{0.5f, 10.0f, -100.0f, 155.0f, nullptr};
  for (const bool planes : {true, false}) {
    const int64_t pixel = planes ? 1 : kChannels, channel = planes ? kPixels : 1;
    const MappedTerm term{map, found, kPadded};
    bool finite = level_portable()->quantise(x, 1, kCount, q, codes);
    finite &= level.quantise(x, pixel, channel, kPixels, kChannels, q, &term, 1);
    if (!finite) return false;
    for (int64_t p = 0; p < kPixels; ++p)
      for (int64_t c = 0; c < kChannels; ++c)
        if (found[p * kPadded + c] != map[codes[p * pixel + c * channel]]) return false;
    const float kept = x[kCount - 1];
    x[kCount - 1] = NAN;
    if (level.quantise(x, pixel, channel, kPixels, kChannels, q, &term, 1)) return false;
    x[kCount - 1] = kept;
  }
  return true;
}

}  // namespace

bool lowrank_agrees(const Level& level) {
  std::minstd_rand random(11);
  return tiles_agree(level.lowrank, random) && scaling_agrees(level.lowrank, random) &&
         quantising_agrees(level.lowrank, random);
}

}  // namespace laxity
