// The shape of a convolution over up to three spatial dimensions; matrix products are convolutions with one tap.
#pragma once

#include <cstdint>
#include <vector>

namespace laxity {

struct Geometry {
  int64_t batch, channels, outputs, groups;
  int64_t in[3], kernel[3], stride[3], before[3], after[3], dilation[3];
  int64_t x_stride[5];  // of the input, in elements: batch, channel, then space
  int64_t y_stride[5];  // of the output
  int64_t out[3];       // derived

  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t inputs_per_group() const { return channels / groups; }
  int64_t outputs_per_group() const { return outputs / groups; }
  int64_t reduction() const { return inputs_per_group() * taps(); }
  int64_t positions() const { return out[0] * out[1] * out[2]; }
  int64_t padded(int d) const { return in[d] + before[d] + after[d]; }
};

// Reads batch, channels, outputs, groups, then in, kernel, stride, before, after, dilation (three each), x_stride,
// y_stride (five each). Throws std::invalid_argument where the numbers describe no convolution.
Geometry read_geometry(const std::vector<int64_t>& values);

}  // namespace laxity
