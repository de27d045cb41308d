// What an instruction set must provide. One table of functions per level; the drivers know only this.
#pragma once

#include <cstdint>

#include "lowrank_level.h"

namespace laxity {

constexpr int kBlock = 64;       // outputs that one block of a kernel computes
constexpr int kMaxBlocks = 4;    // blocks of one tile
constexpr int kTile = kBlock * kMaxBlocks;
constexpr int kSlack = 128;      // bytes that may be read and written beyond packed data

// code = clamp(round(x / scale) + zero, low, high); the stored byte is map[code - low].
struct Quantiser {
  float scale, zero, low, high;
  const uint8_t* map;  // 256 entries, or null for code - low
  uint8_t encode(int code) const {
    const int index = code - static_cast<int>(low);
    return map ? map[index] : static_cast<uint8_t>(index);
  }
};

// A stretch of consecutive output positions of one tile.
struct Run {
  int64_t source;  // of the first position, in the image
  int64_t target;  // of the first position, in the output without its channel offset
  int32_t start;   // first position within the tile
  int32_t length;
};

// value(total) = ((float(total) * scale) * gain) + bias
struct Scaling {
  float scale, gain, bias;
};

// The same with numbers of 64 outputs: lane i has its own.
struct Lanes {
  const int32_t* constant;
  const float* scale;
  const float* gain;
  const float* bias;
};

// How table rows are stored: per row `planes` (1 or 2) groups of `entries` bytes. Entries are `bits` wide each. Indices
// are below the number of entries; those of kSigned have a sign in bit 7, with which they stand for the complement.
enum class Entries { k64, k128, k256, kSigned, kCount };

constexpr int entry_count(Entries entries) {
  return entries == Entries::k64 ? 64 : entries == Entries::k256 ? 256 : 128;
}

// Adds, for `blocks` blocks of outputs, the looked-up value of k pairs to acc (kBlock int32 per block, in the order of
// lanes that the level likes); with `first` it sets acc instead. k is at most table_chunk(bits).
//   a: indices; those of pair i start at a + offset[i].
//   row: row number of pair i.  table: rows of planes * entries bytes, as the level's arrange() leaves them.
using TableMicro = void (*)(const uint8_t* a, const uint32_t* offset, const uint8_t* row, const uint8_t* table,
                            int64_t k, int32_t* acc, bool first);

// 8-bit entries are widened one by one, 7-bit ones in pairs, 6-bit ones in fours.
constexpr int kWidths = 3;
constexpr int width_index(int bits) { return 8 - bits; }
inline int64_t table_chunk(int bits) { return bits == 8 ? 256 : bits == 7 ? 512 : 1024; }

struct Level {
  const char* name;
  // Encodes n floats that lie `stride` elements apart; false where one is not finite.
  bool (*quantise)(const float* x, int64_t stride, int64_t n, const Quantiser& q, uint8_t* out);
  // Encodes `pixels` x `channels` floats with channels next to each other; channel c goes to out + c * plane.
  bool (*quantise_planes)(const float* x, int64_t pixel_stride, int64_t pixels, int64_t channels, const Quantiser& q,
                          uint8_t* out, int64_t plane);
  // What the codes of n floats stand for; and a gradient with zeros where they are clipped.
  void (*represent)(const float* x, int64_t n, const Quantiser& q, float* out);
  void (*pass_gradient)(const float* gradient, const float* x, int64_t n, const Quantiser& q, float* out);
  uint64_t (*fingerprint)(const uint8_t* data, int64_t bytes);
  // Gathers k rows of a tile: row i of `out` (kTile bytes apart) holds the indices at image + offset[i] + run.source.
  void (*pack)(const uint8_t* image, const int64_t* offset, int64_t k, const Run* runs, int64_t count, uint8_t* out);
  // Lists the codes other than `skip`: code i to rows, base + i * step to offsets. Returns how many. Both arrays have
  // room for n + kSlack numbers.
  int64_t (*compress)(const uint8_t* codes, int64_t n, uint8_t skip, uint32_t base, uint32_t step, uint32_t* offsets,
                      uint8_t* rows);
  // Brings `groups` times `entries` bytes of a table into the level's own form. Null: there is none.
  void (*arrange)(const uint8_t* table, int64_t groups, Entries entries, uint8_t* out);
  TableMicro table[static_cast<int>(Entries::kCount)][2][kWidths][kMaxBlocks];
  // One block of acc - base (base may be null) + constant, scaled, to 64 floats; or to 64 integers in natural order.
  void (*scaled)(const int32_t* acc, const int32_t* base, int32_t constant, const Scaling& s, float* out);
  void (*natural)(const int32_t* acc, const int32_t* base, int32_t* out);
  // One block of acc + shift + the lanes' constants, scaled.
  void (*scaled_lanes)(const int32_t* acc, int32_t shift, const Lanes& lanes, float* out);
  // out[j * out_pitch + c] = x[c * pitch + j] for up to 16 channels c and any number of positions j.
  void (*transpose)(const float* x, int64_t pitch, int64_t channels, int64_t positions, float* out, int64_t out_pitch);
  LowrankLevel lowrank;
};

// The best level that this CPU has and that passes its self-test, or the named one.
// Throws std::invalid_argument where `name` is unknown or not available.
const Level& level_named(const char* name);

// Whether the level's functions do what the portable ones do.
bool level_agrees(const Level& level);
const Level* level_portable();
const Level* level_avx2();
const Level* level_avx512();

}  // namespace laxity
