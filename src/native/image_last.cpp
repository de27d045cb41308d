#include "image_last.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "parallel.h"

namespace laxity {
namespace {

// A row of the input, wherever its elements lie.
bool quantise_row(const Geometry& g, const float* x, const Quantiser& q, const Level& level, uint8_t* to) {
  const int64_t width = g.in[2], channels = g.channels, near = g.x_stride[4], apart = g.x_stride[1];
  if (channels == 1) return level.quantise(x, near, width, q, to);
  if (apart == 1 && (near == channels || width == 1)) return level.quantise(x, 1, width * channels, q, to);
  // Seen as `channels` pixels of `width` channels, the bytes of one of those lie next to each other.
  if (near == 1) return level.quantise_planes(x, apart, channels, width, q, to, channels);
  bool finite = true;
  for (int64_t i = 0; i < width; ++i) finite &= level.quantise(x + i * near, apart, channels, q, to + i * channels);
  return finite;
}

}  // namespace

bool make_last_image(const Geometry& g, const float* x, const Quantiser& q, int threads, const Level& level,
                     Buffer& memory, LastImage& image) {
  image.row = g.padded(2) * g.channels;
  image.slice = image.row * g.padded(1);
  image.sample = image.slice * g.padded(0);
  uint8_t* data = memory.get<uint8_t>(image.sample * g.batch + kSlack);
  image.data = data;
  const float zero = q.zero < q.low ? q.low : q.zero > q.high ? q.high : q.zero;
  const uint8_t padding = q.encode(static_cast<int>(zero));
  const int64_t rows = g.batch * g.padded(0) * g.padded(1);
  const int64_t step = std::max<int64_t>(1, rows / (8 * std::max(1, threads)));
  std::atomic<bool> finite{true};
  parallel_for(threads, (rows + step - 1) / step, [&](int, int64_t task) {
    for (int64_t i = task * step; i < std::min(rows, (task + 1) * step); ++i) {
      const int64_t y = i % g.padded(1) - g.before[1], z = i / g.padded(1) % g.padded(0) - g.before[0];
      const int64_t b = i / (g.padded(1) * g.padded(0));
      uint8_t* to = data + i * image.row;
      if (z < 0 || z >= g.in[0] || y < 0 || y >= g.in[1]) {
        std::memset(to, padding, image.row);
        continue;
      }
      std::memset(to, padding, g.before[2] * g.channels);
      to += g.before[2] * g.channels;
      const float* from = x + b * g.x_stride[0] + z * g.x_stride[2] + y * g.x_stride[3];
      if (!quantise_row(g, from, q, level, to)) finite = false;
      std::memset(to + g.in[2] * g.channels, padding, g.after[2] * g.channels);
    }
  });
  return finite;
}

}  // namespace laxity
