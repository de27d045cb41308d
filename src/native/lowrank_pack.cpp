#include <algorithm>
#include <cstring>

#include "lowrank.h"

namespace laxity {

int64_t LowrankShape::packed_size() const {
  int64_t bytes = 0;
  for (size_t j = 0; j < terms.size(); ++j) bytes += groups * vectors() * kVector * reduction(j);
  return bytes;
}

void pack_lowrank(const LowrankShape& shape, const uint8_t* rows, const int8_t* maps, int64_t codes, int8_t* packed) {
  if (shape.packed_size() == 0) return;
  std::memset(packed, 0, shape.packed_size());
  const int64_t per_group = shape.outputs / shape.groups, inputs = shape.inputs_per_group;
  int64_t first = 0;
  for (size_t j = 0; j < shape.terms.size(); ++j) {
    const int64_t length = shape.reduction(j), terms = shape.terms[j];
    for (int64_t n = 0; n < shape.outputs; ++n) {
      const int64_t group = n / per_group, lane = n % per_group % kVector;
      const int64_t vector = group * shape.vectors() + n % per_group / kVector;
      int8_t* to = packed + vector * kVector * length + lane * kQuad;
      for (int64_t tap = 0; tap < shape.taps; ++tap)
        for (int64_t t = 0; t < terms; ++t) {
          const int8_t* map = maps + (first + t) * codes;
          const uint8_t* from = rows + n * inputs * shape.taps + tap;
          for (int64_t c = 0; c < inputs; c += kQuad, to += kVector * kQuad)
            for (int64_t i = 0; i < std::min(kQuad, inputs - c); ++i) to[i] = map[from[(c + i) * shape.taps]];
        }
    }
    packed += shape.groups * shape.vectors() * kVector * length;
    first += terms;
  }
}

}  // namespace laxity
