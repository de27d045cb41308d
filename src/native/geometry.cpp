#include "geometry.h"

#include <algorithm>
#include <stdexcept>

namespace laxity {

Geometry read_geometry(const std::vector<int64_t>& values) {
  if (values.size() != 32) throw std::invalid_argument("a geometry has 32 numbers");
  Geometry g;
  auto next = values.begin();
  const auto take = [&](int64_t* to, int count) {
    std::copy(next, next + count, to);
    next += count;
  };
  take(&g.batch, 1);
  take(&g.channels, 1);
  take(&g.outputs, 1);
  take(&g.groups, 1);
  for (int64_t* part : {g.in, g.kernel, g.stride, g.before, g.after, g.dilation}) take(part, 3);
  take(g.x_stride, 5);
  take(g.y_stride, 5);
  if (g.batch < 0 || g.channels < 0 || g.outputs < 0 || g.groups < 1 || g.channels % g.groups || g.outputs % g.groups)
    throw std::invalid_argument("batch, channels, outputs or groups of a convolution are wrong");
  for (int d = 0; d < 3; ++d) {
    const int64_t reach = g.dilation[d] * (g.kernel[d] - 1) + 1;
    if (g.in[d] < 0 || g.kernel[d] < 1 || g.stride[d] < 1 || g.dilation[d] < 1 || g.before[d] < 0 || g.after[d] < 0)
      throw std::invalid_argument("sizes, strides, padding or dilation of a convolution are wrong");
    g.out[d] = g.padded(d) < reach ? 0 : (g.padded(d) - reach) / g.stride[d] + 1;
  }
  return g;
}

}  // namespace laxity
