// Sums of table look-ups over the windows of a convolution: the activation-stationary driver. A row of the table
// belongs to an activation and is looked up by the weights of all outputs; activations that contribute nothing are
// left out. It suits few positions, and many outputs with many zeros among the activations.
#pragma once

#include "geometry.h"
#include "image_last.h"
#include "level.h"
#include "output.h"

namespace laxity {

// A row holds the products of one activation code with every weight code, less those of code `skip`, less an offset
// of the row; it is cut into planes as in TableOperand. Entries have no sign.
struct StationaryOperand {
  const uint8_t* codes;  // of weights, (groups, reduction, outputs per group padded to kBlock); taps, then channels
  const uint8_t* table;
  int64_t rows;
  Entries entries;
  int planes, bits;
  int skip;                  // activation code that contributes nothing, or -1 for none
  const int64_t* offsets;    // (rows)
  const int64_t* constants;  // (outputs), added to every sum
  bool wide;                 // sums may exceed 31 bits
};

void stationary_products(const Geometry& g, const LastImage& image, const StationaryOperand& operand,
                         const Output& output, int threads, const Level& level);

// Bytes of one reduction index in StationaryOperand::codes.
inline int64_t stationary_pitch(const Geometry& g) { return (g.outputs_per_group() + kBlock - 1) / kBlock * kBlock; }

}  // namespace laxity
