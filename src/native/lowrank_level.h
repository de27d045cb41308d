// What an instruction set must provide for sums of products of mapped operands (level.h holds one such table).
#pragma once

#include <cstdint>

namespace laxity {

struct Quantiser;

constexpr int kVector = 16;                          // outputs whose weights are stored together
constexpr int kMaxVectors = 4;                       // such vectors of one tile
constexpr int kWideTile = kVector * kMaxVectors;     // outputs of one tile, and pitch of its accumulators
constexpr int kMaxRows = 8;                         // positions of one tile
constexpr int64_t kQuad = 4;                         // bytes of the reduction that are multiplied together

// One byte map of a quantised input and where its results go: channel c of pixel p to out[p * pitch + c].
struct MappedTerm {
  const uint8_t* map;  // 256 entries
  uint8_t* out;
  int64_t pitch;
};

// The reduction of a tile: `runs` stretches of 4 * quads bytes; those of position m start at rows[m] + offsets[i].
// Weights are signed bytes [vector][quad of all runs][16 outputs][4], vectors `pitch` bytes apart.
struct LowrankTile {
  const uint8_t* const* rows;
  const int64_t* offsets;
  int64_t runs, quads;
  const int8_t* weights;
  int64_t pitch;
  int32_t factor;  // of the sums, modulo 2^32
  bool first;      // set acc, rather than add to it
  int32_t* acc;    // position m at acc + m * kWideTile
};
using LowrankMicro = void (*)(const LowrankTile& tile);

// float(acc + constant) * scale * gain + bias, all arrays starting at the first output in question.
struct LowrankScaling {
  const int64_t* constants;
  const float* scale;
  const float* gain;
  const float* bias;  // or null
  bool streamed;      // whole lines go past the caches: the output is too large to be read from them again
};

// Scales `positions` x `outputs` accumulators. The ones of up to 15 further positions may be read too.
using LowrankFinish = void (*)(const int32_t* acc, int64_t positions, int64_t outputs, const LowrankScaling& scaling,
                               float* out, int64_t pitch);

struct LowrankLevel {
  // Quantises and maps pixels x channels floats; channels up to the next multiple of four are written. False where
  // one is not finite. Null: the driver uses the level's function for rows of floats.
  bool (*quantise)(const float* x, int64_t pixel_stride, int64_t channel_stride, int64_t pixels, int64_t channels,
                   const Quantiser& q, const MappedTerm* terms, int64_t count);
  int rows[kMaxVectors];  // positions of the best tile that is 1, 2, ... vectors wide
  LowrankMicro micro[kMaxVectors][kMaxRows];  // null beyond the best tile's positions
  LowrankFinish planes;   // output n of position m goes to out[n * pitch + m]
  LowrankFinish columns;  // output n of position m goes to out[m * pitch + n]
};

void fill_lowrank_portable(LowrankLevel& level);
void fill_lowrank_avx2(LowrankLevel& level);
void fill_lowrank_avx512(LowrankLevel& level);

}  // namespace laxity
