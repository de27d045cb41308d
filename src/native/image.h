// The quantised and padded input of a convolution, one byte per element, one plane per channel.
#pragma once

#include "buffer.h"
#include "geometry.h"
#include "level.h"

namespace laxity {

// Columns are sorted by their remainder modulo the stride, so that the inputs of neighbouring outputs are neighbours.
struct Image {
  const uint8_t* data;
  int64_t columns;  // bytes of one remainder's part of a row
  int64_t row, slice, plane, sample;

  // Position of padded coordinates (z, y, x) within a plane.
  int64_t at(const Geometry& g, int64_t z, int64_t y, int64_t x) const {
    return z * slice + y * row + (x % g.stride[2]) * columns + x / g.stride[2];
  }
};

// Quantises x into `memory`. Returns false where an element is not finite; the image is unusable then.
bool make_image(const Geometry& g, const float* x, const Quantiser& q, int threads, const Level& level, Buffer& memory,
                Image& image);

}  // namespace laxity
