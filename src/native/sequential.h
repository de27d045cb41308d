// Sums of products that pass through the gates of an accumulator one after the other.
//
// One bit of 64 sums lies in a word, so that a gate costs one operation on words. Sums of one activation row and up to
// 64 outputs are neighbours; for one step of the reduction, the products of every activation code with the weights of
// these outputs are transposed to bits once, and every row copies those of its code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace laxity {

// A netlist as a straight line of operations on registers of one bit. The sum lies in registers [0, bits), where the
// gates replace it, the product in the `planes` registers above, whose last one stands for all upper bits; then come a
// register of zeros, one of ones, and others.
struct SequentialProgram {
  const int32_t* gates;  // `count` times: cell, four inputs, two outputs; unused ones are register 0 and are not touched
  int64_t count;
  int32_t bits, planes, registers;
};

struct SequentialOperands {
  const int64_t* table;  // products (weight codes, activation codes)
  int64_t weight_codes, activation_codes;
  const uint16_t* rows;    // activation codes (reduction, count)
  const uint16_t* weight;  // weight codes (outputs, reduction)
  int64_t count, outputs, reduction;
  int64_t chain;  // steps after which the sum is put out and starts at 0 again; at least 1
};

// Names of the cells, by number.
const std::vector<std::string>& sequential_cells();

// Two's complement sums (count, outputs) of all chains. Codes must lie in their tables.
// Throws std::invalid_argument where the program or the sizes contradict themselves.
void sequential_products(const SequentialProgram& program, const SequentialOperands& operands, int64_t* sums,
                         int threads);

}  // namespace laxity
