// How the output positions of a convolution are cut into tiles for the look-up kernels.
#pragma once

#include <algorithm>
#include <vector>

#include "geometry.h"
#include "image.h"
#include "level.h"

namespace laxity {

// How the output positions are cut into tiles. Direct tiles read the image where it is: their lanes run over whole
// rows of the image, so some results are not positions of the output and are dropped. Gathered tiles hold only true
// positions, at the price of copying their inputs.
struct Tiling {
  bool direct;
  int64_t lanes, tiles_per_sample, tiles;
};

inline int64_t blocks_of(int64_t lanes) { return (lanes + kBlock - 1) / kBlock; }

inline Tiling choose_tiling(const Geometry& g, const Image& image) {
  const int64_t all = g.batch * g.positions();
  const int64_t gathered = blocks_of(all);
  const bool possible = g.out[0] == 1 && g.stride[1] == 1 && image.sample < (int64_t{1} << 31);
  const int64_t span = (g.out[1] - 1) * image.row + g.out[2];
  const int64_t direct = g.batch * blocks_of(span);
  // Copying one row of a block costs about as much as looking it up for one or two outputs.
  if (possible && direct * g.outputs_per_group() <= gathered * (g.outputs_per_group() + 2)) {
    const int64_t per_sample = (span + kTile - 1) / kTile;
    return {true, span, per_sample, g.batch * per_sample};
  }
  return {false, all, 0, (all + kTile - 1) / kTile};
}

struct Tile {
  int64_t base = 0;  // of direct tiles
  int blocks = 0;
  std::vector<Run> runs;     // stretches whose inputs are consecutive
  std::vector<Run> targets;  // stretches whose outputs are consecutive

  void place(const Geometry& g, const Image& image, const Tiling& tiling, int64_t index) {
    runs.clear();
    targets.clear();
    if (tiling.direct) {
      place_direct(g, image, tiling, index);
    } else {
      place_gathered(g, image, tiling, index);
    }
  }

  void place_direct(const Geometry& g, const Image& image, const Tiling& tiling, int64_t index) {
    const int64_t b = index / tiling.tiles_per_sample, first = index % tiling.tiles_per_sample * kTile;
    const int64_t last = std::min(tiling.lanes, first + kTile);
    base = b * image.sample + first;
    blocks = static_cast<int>(blocks_of(last - first));
    for (int64_t y = first / image.row; y * image.row < last; ++y) {
      const int64_t from = std::max(first, y * image.row), to = std::min(last, y * image.row + g.out[2]);
      if (from >= to) continue;
      const int64_t target = b * g.y_stride[0] + y * g.y_stride[3] + (from - y * image.row) * g.y_stride[4];
      append({0, target, static_cast<int32_t>(from - first), static_cast<int32_t>(to - from)}, g.y_stride[4]);
    }
  }

  void place_gathered(const Geometry& g, const Image& image, const Tiling& tiling, int64_t index) {
    const int64_t first = index * kTile, last = std::min(tiling.lanes, first + kTile);
    base = 0;
    blocks = static_cast<int>(blocks_of(last - first));
    for (int64_t m = first; m < last;) {
      const int64_t x = m % g.out[2], y = m / g.out[2] % g.out[1], z = m / (g.out[2] * g.out[1]) % g.out[0];
      const int64_t b = m / g.positions(), length = std::min(last - m, g.out[2] - x);
      const int64_t source =
          b * image.sample + z * g.stride[0] * image.slice + y * g.stride[1] * image.row + x;
      const int64_t target = b * g.y_stride[0] + z * g.y_stride[2] + y * g.y_stride[3] + x * g.y_stride[4];
      const Run run{source, target, static_cast<int32_t>(m - first), static_cast<int32_t>(length)};
      runs.push_back(run);
      append(run, g.y_stride[4]);
      m += length;
    }
  }

  // Stretches that continue each other in tile and output are one.
  void append(const Run& run, int64_t step) {
    if (!targets.empty()) {
      Run& before = targets.back();
      if (before.start + before.length == run.start && before.target + before.length * step == run.target) {
        before.length += run.length;
        return;
      }
    }
    targets.push_back(run);
  }
};

}  // namespace laxity
