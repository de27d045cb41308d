// Sums of products of mapped operands: a multiplier's table of low rank, as a few integer products.
#pragma once

#include <vector>

#include "buffer.h"
#include "geometry.h"
#include "level.h"
#include "output.h"

namespace laxity {

// Terms that share a factor; they are one longer reduction.
struct Bundle {
  int64_t factor, terms;
};

// sum over bundles j of factor_j * sum over its terms r of map_r[index] * weight_r
struct LowrankOperand {
  const uint8_t* maps;     // (terms, 256), for the quantised index
  const int8_t* weights;   // as pack_lowrank leaves them
  std::vector<Bundle> bundles;
  const int64_t* constants;  // (outputs), added to every sum
  bool wide;                 // totals may exceed 31 bits
};

// The shape of a layer's weights: (outputs, inputs per group, taps).
struct LowrankShape {
  int64_t outputs, inputs_per_group, taps, groups;
  std::vector<int64_t> terms;  // of each bundle

  int64_t vectors() const { return (outputs / groups + kVector - 1) / kVector; }
  int64_t padded_inputs() const { return (inputs_per_group + kQuad - 1) / kQuad * kQuad; }
  // Bytes of one output's weights in bundle j.
  int64_t reduction(size_t j) const { return taps * terms[j] * padded_inputs(); }
  int64_t packed_size() const;
};

// Signed bytes [bundle][group][vector][quad][16 outputs][4]; a reduction runs over taps, then terms, then channels
// padded to a multiple of four. What no weight covers is zero.
//   rows: weight codes less the least.  maps: (terms, codes), in the order of the bundles.
void pack_lowrank(const LowrankShape& shape, const uint8_t* rows, const int8_t* maps, int64_t codes, int8_t* packed);

// The quantised, mapped and padded input: one channels-last image per bundle, in which the channels of a group's
// terms are next to each other and the groups of a sample lie one after the other.
struct LowrankImage {
  struct Part {
    const uint8_t* data;
    int64_t pitch;  // bytes of one pixel
  };
  std::vector<Part> parts;
  int64_t row, slice, plane, sample;  // in pixels; a plane is one group's
};

// Returns false where an element of x is not finite; the image is unusable then.
bool make_lowrank_image(const Geometry& g, const float* x, const Quantiser& q, const LowrankOperand& operand,
                        int threads, const Level& level, Buffer& memory, LowrankImage& image);

// The whole layer. Returns false where an element of x that some output reads is not finite.
bool lowrank_products(const Geometry& g, const float* x, const Quantiser& q, const LowrankOperand& operand,
                      const Output& output, int threads, const Level& level);

// Whether a level's functions do what the portable ones do.
bool lowrank_agrees(const Level& level);

}  // namespace laxity
