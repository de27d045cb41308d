// Simulation of single stuck-at faults, 64 operand pairs in every machine word. One translation unit per instruction set
// defines `run_...` from stuck_at_kernel.inl; nothing but plain memory crosses its border, so that no inline function of
// the standard library is compiled for an instruction set that the machine may lack.
#pragma once

#include <cstddef>
#include <cstdint>

namespace laxity::stuck_at {

using Word = uint64_t;

// Words that are simulated together: few enough for the nets of a multiplier to stay in the cache while all its faults
// are simulated, and a fault whose difference has died there costs nothing more.
constexpr size_t kBlock = 64;
constexpr size_t kCounts = 8;  // laxity.circuits.stuck_at.sums.COUNTS
constexpr size_t kKeys = 2;

struct Program {
  size_t gates, nets, bits, words;  // words are a multiple of kBlock
  const int32_t* cells;             // (gates)
  const int32_t* pins;              // (gates, 4)
  const int32_t* drives;            // (gates, 2), -1 where a cell has one output
  const int32_t* outputs;           // (bits)
  const Word* golden;               // (words / kBlock, nets, kBlock)
  const Word* mask;                 // (words), ones where there is a pair
  const Word* keys;                 // (kKeys, bits, words)
  const void* codes;                // (words, 64) results without fault; pair 8 i + j of a word stands at 8 j + i
  const void* exact;                // likewise, as values
  bool wide;                        // codes and exact are int64 instead of int32
  bool is_signed;
};

struct Faults {
  size_t count;
  const int32_t* lines;  // (count, 4): net, value, gate or -1 (the net) or -2 (an output bit), pin
  const int64_t* starts;  // (count + 1) of the cones
  const int32_t* cones;   // gates that a fault can change, in order
};

struct Results {
  int64_t* counts;   // (count, kCounts)
  Word* changed;     // (count)
  Word* signatures;  // (count, kKeys)
  Word* planes;      // (bits, words) differences of the outputs of the only fault, or null
};

struct Workspace {
  Word* faulty;    // (nets, kBlock)
  int64_t* stamp;  // (nets), zeros
  int64_t* base;   // (words, 4)
};

using Run = void (*)(const Program&, const Faults&, const Results&, const Workspace&);

void run_portable(const Program&, const Faults&, const Results&, const Workspace&);
void run_avx2(const Program&, const Faults&, const Results&, const Workspace&);
void run_avx512(const Program&, const Faults&, const Results&, const Workspace&);

}  // namespace laxity::stuck_at
