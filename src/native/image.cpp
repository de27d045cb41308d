#include "image.h"

#include <atomic>
#include <cmath>
#include <cstring>

#include "copy.h"
#include "parallel.h"

namespace laxity {
namespace {

struct Writer {
  const Geometry& g;
  const Quantiser& q;
  const Level& level;
  const Image& image;
  uint8_t* data;
  uint8_t padding;

  // Fills every position of one plane's rows that no input element covers.
  void pad_plane(uint8_t* plane) const {
    const bool padded = g.before[0] + g.before[1] + g.before[2] + g.after[0] + g.after[1] + g.after[2] > 0;
    if (padded || g.stride[2] > 1) std::memset(plane, padding, image.plane);
  }

  // One row of elements that lie `stride` apart.
  bool row(const float* x, int64_t stride, uint8_t* to, uint8_t* line) const {
    const int64_t n = g.in[2], before = g.before[2], s = g.stride[2];
    if (s == 1) return level.quantise(x, stride, n, q, to + before);
    const bool finite = level.quantise(x, stride, n, q, line);
    spread(line, to);
    return finite;
  }

  void place(const uint8_t* line, uint8_t* to) const {
    if (g.stride[2] == 1) {
      copy_bytes(line, to + g.before[2], g.in[2]);
    } else {
      spread(line, to);
    }
  }

  // Distributes a quantised row over the remainders of its columns.
  void spread(const uint8_t* line, uint8_t* to) const {
    const int64_t n = g.in[2], before = g.before[2], s = g.stride[2];
    for (int64_t phase = 0; phase < s; ++phase) {
      const int64_t skip = ((phase - before) % s + s) % s;
      uint8_t* part = to + phase * image.columns + (before + skip) / s;
      for (int64_t i = skip, j = 0; i < n; i += s, ++j) part[j] = line[i];
    }
  }

  bool plane(const float* x, int64_t b, int64_t c) const {
    uint8_t* plane = data + b * image.sample + c * image.plane;
    pad_plane(plane);
    const float* from = x + b * g.x_stride[0] + c * g.x_stride[1];
    thread_local Buffer line;
    const bool dense = g.x_stride[4] == 1 && g.x_stride[3] == g.in[2];
    uint8_t* scratch = line.get<uint8_t>((dense ? g.in[1] : 1) * g.in[2] + kSlack);
    bool finite = true;
    for (int64_t z = 0; z < g.in[0]; ++z) {
      uint8_t* slice = plane + (z + g.before[0]) * image.slice + g.before[1] * image.row;
      if (dense) {
        finite &= level.quantise(from + z * g.x_stride[2], 1, g.in[1] * g.in[2], q, scratch);
        for (int64_t y = 0; y < g.in[1]; ++y) place(scratch + y * g.in[2], slice + y * image.row);
      } else {
        for (int64_t y = 0; y < g.in[1]; ++y)
          finite &= row(from + z * g.x_stride[2] + y * g.x_stride[3], g.x_stride[4], slice + y * image.row, scratch);
      }
    }
    return finite;
  }

  // Channels lie next to each other: 64 of them, one row at a time.
  bool channels(const float* x, int64_t b, int64_t c, int64_t count) const {
    uint8_t* planes = data + b * image.sample + c * image.plane;
    for (int64_t i = 0; i < count; ++i) pad_plane(planes + i * image.plane);
    thread_local Buffer lines;
    const int64_t pitch = g.in[2] + kSlack;
    uint8_t* scratch = g.stride[2] > 1 ? lines.get<uint8_t>(pitch * count) : nullptr;
    const float* from = x + b * g.x_stride[0] + c;
    bool finite = true;
    for (int64_t z = 0; z < g.in[0]; ++z)
      for (int64_t y = 0; y < g.in[1]; ++y) {
        const float* source = from + z * g.x_stride[2] + y * g.x_stride[3];
        uint8_t* to = planes + (z + g.before[0]) * image.slice + (y + g.before[1]) * image.row;
        if (g.stride[2] == 1) {
          finite &= level.quantise_planes(source, g.x_stride[4], g.in[2], count, q, to + g.before[2], image.plane);
        } else {
          finite &= level.quantise_planes(source, g.x_stride[4], g.in[2], count, q, scratch, pitch);
          for (int64_t i = 0; i < count; ++i) spread(scratch + i * pitch, to + i * image.plane);
        }
      }
    return finite;
  }
};

}  // namespace

bool make_image(const Geometry& g, const float* x, const Quantiser& q, int threads, const Level& level, Buffer& memory,
                Image& image) {
  const int64_t s = g.stride[2];
  image.columns = (g.padded(2) + s - 1) / s;
  image.row = image.columns * s;
  image.slice = image.row * g.padded(1);
  image.plane = image.slice * g.padded(0);
  image.sample = image.plane * g.channels;
  uint8_t* data = memory.get<uint8_t>(image.sample * g.batch + kTile + 2 * kSlack);
  image.data = data;
  const float zero = q.zero < q.low ? q.low : q.zero > q.high ? q.high : q.zero;
  const Writer writer{g, q, level, image, data, q.encode(static_cast<int>(zero))};
  std::memset(data + image.sample * g.batch, 0, kTile + 2 * kSlack);
  std::atomic<bool> finite{true};
  if (g.channels > 1 && g.x_stride[1] == 1 && g.x_stride[4] != 1) {
    const int64_t blocks = (g.channels + 63) / 64;
    parallel_for(threads, g.batch * blocks, [&](int, int64_t task) {
      const int64_t c = task % blocks * 64;
      if (!writer.channels(x, task / blocks, c, g.channels - c < 64 ? g.channels - c : 64)) finite = false;
    });
  } else {
    parallel_for(threads, g.batch * g.channels, [&](int, int64_t task) {
      if (!writer.plane(x, task / g.channels, task % g.channels)) finite = false;
    });
  }
  return finite;
}

}  // namespace laxity
