// Sums of table look-ups over the windows of a convolution: the weight-stationary driver.
#pragma once

#include "geometry.h"
#include "image.h"
#include "level.h"
#include "output.h"

namespace laxity {

// The weights of a layer and the table of its multiplier. A row holds the products of one weight code with every
// index, minus the smallest of them, cut into planes of `bits` bits; planes come in pairs (the last may be alone):
// first all rows of the first pair, then all rows of the second.
struct TableOperand {
  const uint8_t* codes;   // row numbers, (outputs, reduction)
  const uint8_t* table;
  int64_t rows;
  Entries entries;
  int planes, bits;
  int64_t zero_row;           // kSigned: a row of zeros, whose sum is taken off every other; else unused
  const int64_t* constants;   // (outputs), added to every sum
  bool wide;                  // sums may exceed 31 bits
};

// The rows of a table as the level wants them: as they are, or a copy in `memory`.
inline const uint8_t* arranged(const Level& level, const uint8_t* table, int64_t groups, Entries entries,
                               Buffer& memory) {
  if (level.arrange == nullptr) return table;
  uint8_t* copy = memory.get<uint8_t>(groups * entry_count(entries));
  level.arrange(table, groups, entries, copy);
  return copy;
}

// The whole layer. Returns false where an element of x is not finite; outputs are undefined then.
bool table_products(const Geometry& g, const float* x, const Quantiser& q, const TableOperand& operand,
                    const Output& output, int threads, const Level& level);

}  // namespace laxity
