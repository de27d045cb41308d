// The quantised and padded input of a convolution, one byte per element, the channels of a position next to each other.
#pragma once

#include "buffer.h"
#include "geometry.h"
#include "level.h"

namespace laxity {

struct LastImage {
  const uint8_t* data;
  int64_t row, slice, sample;  // bytes; a position has one byte per channel
};

// Quantises x into `memory`. Returns false where an element is not finite; the image is unusable then.
bool make_last_image(const Geometry& g, const float* x, const Quantiser& q, int threads, const Level& level,
                     Buffer& memory, LastImage& image);

}  // namespace laxity
