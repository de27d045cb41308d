#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "parallel.h"
#include "table_worker.h"

namespace laxity {
namespace {

std::vector<int64_t> tap_offsets(const Geometry& g, const Image& image) {
  std::vector<int64_t> offsets;
  for (int64_t c = 0; c < g.inputs_per_group(); ++c)
    for (int64_t z = 0; z < g.kernel[0]; ++z)
      for (int64_t y = 0; y < g.kernel[1]; ++y)
        for (int64_t x = 0; x < g.kernel[2]; ++x)
          offsets.push_back(c * image.plane +
                            image.at(g, z * g.dilation[0], y * g.dilation[1], x * g.dilation[2]));
  return offsets;
}

constexpr int64_t kGroupBytes = 1 << 16;  // of the image of some groups, which shall stay in the cache

// The part of a layer that some groups of one sample are.
Geometry part_of(const Geometry& g, int64_t groups) {
  Geometry part = g;
  part.batch = 1;
  part.channels = groups * g.inputs_per_group();
  part.outputs = groups * g.outputs_per_group();
  part.groups = groups;
  return part;
}

// How many groups are quantised and multiplied together, or 0 where the whole input had better be quantised first.
int64_t groups_together(const Geometry& g, int threads) {
  if (g.groups < 8) return 0;
  const bool last = g.x_stride[1] == 1 && g.x_stride[4] != 1;
  const int64_t plane = g.padded(0) * g.padded(1) * g.padded(2) * g.inputs_per_group();
  // Channels that lie next to each other are quantised sixteen at a time.
  const int64_t least = last ? (15 + g.inputs_per_group()) / g.inputs_per_group() : 1;
  const int64_t room = last ? 4 * kGroupBytes : kGroupBytes, most = last ? 48 : 16;
  const int64_t fit = room / std::max<int64_t>(1, plane);
  const int64_t groups = std::min(g.groups, std::max(least, std::min(fit, most)));
  return groups * plane <= 2 * room && g.batch * (g.groups / groups) >= 2 * threads ? groups : 0;
}

// One thread's part of a layer that is done some groups at a time.
struct Part {
  Image image;
  TableOperand operand;
  Output output;
  Tiling tiling;
  std::vector<int64_t> offsets;
  std::vector<uint32_t> direct;
  Buffer memory;
  std::unique_ptr<Worker> worker;

  bool run(const Geometry& g, const Geometry& part, const float* x, const Quantiser& q, const TableOperand& whole,
           const Output& out, const Level& level, int64_t b, int64_t first, int64_t groups) {
    const int64_t channel = first * g.inputs_per_group(), n = first * g.outputs_per_group();
    if (!make_image(part, x + b * g.x_stride[0] + channel * g.x_stride[1], q, 1, level, memory, image)) return false;
    operand = whole;
    operand.codes += n * g.reduction();
    operand.constants += n;
    output = out;
    const int64_t target = b * g.y_stride[0] + n * g.y_stride[1];
    if (output.scaled) {
      output.scaled += target;
      output.scale += n;
      output.gain += n;
      if (output.bias) output.bias += n;
    } else {
      output.sums += target;
    }
    if (!worker) {
      tiling = choose_tiling(part, image);
      offsets = tap_offsets(part, image);
      direct.assign(offsets.begin(), offsets.end());
      worker = std::make_unique<Worker>(part, image, operand, output, level, tiling, offsets, direct);
    }
    if (g.y_stride[4] != 1) {  // outputs of all groups that lie next to each other are written together
      for (int64_t tile = 0; tile < tiling.tiles; ++tile) worker->run_groups(tile, 0, groups);
      return true;
    }
    for (int64_t group = 0; group < groups; ++group)
      for (int64_t tile = 0; tile < tiling.tiles; ++tile) worker->run_groups(tile, group, group + 1);
    return true;
  }
};

bool grouped_products(const Geometry& g, const float* x, const Quantiser& q, const TableOperand& operand,
                      const Output& output, int64_t together, int threads, const Level& level) {
  // The last groups may be fewer than are done together: their part is a smaller layer of its own.
  const int64_t blocks = (g.groups + together - 1) / together;
  const Geometry part = part_of(g, together), rest = part_of(g, g.groups - (blocks - 1) * together);
  std::vector<Part> parts(2 * std::max(1, threads));
  std::atomic<bool> finite{true};
  parallel_for(threads, g.batch * blocks, [&](int who, int64_t task) {
    const int64_t b = task / blocks, block = task % blocks;
    const bool last = block + 1 == blocks;
    Part& mine = parts[2 * who + (last ? 1 : 0)];
    if (!mine.run(g, last ? rest : part, x, q, operand, output, level, b, block * together,
                  last ? rest.groups : together))
      finite = false;
  });
  return finite;
}

void whole_products(const Geometry& g, const Image& image, const TableOperand& operand, const Output& output,
                    int threads, const Level& level) {
  const Tiling tiling = choose_tiling(g, image);
  const std::vector<int64_t> offsets = tap_offsets(g, image);
  const std::vector<uint32_t> direct(offsets.begin(), offsets.end());
  // Few tiles are shared out by outputs too, many small groups are done together.
  const int64_t per_group = g.outputs_per_group();
  int64_t splits = 1;
  while (tiling.tiles * g.groups * splits < 4 * threads && per_group / (splits + 1) >= 16) ++splits;
  const int64_t share = (per_group + splits - 1) / splits;
  const int64_t tasks = tiling.tiles * g.groups * splits;
  const int64_t step = std::max<int64_t>(1, std::min<int64_t>(32, tasks / (8 * threads)));
  std::vector<std::unique_ptr<Worker>> workers(std::max(1, threads));
  parallel_for(threads, (tasks + step - 1) / step, [&](int who, int64_t block) {
    auto& worker = workers[who];
    if (!worker) worker = std::make_unique<Worker>(g, image, operand, output, level, tiling, offsets, direct);
    for (int64_t task = block * step; task < std::min(tasks, (block + 1) * step); ++task) {
      const int64_t split = task % splits, group = task / splits % g.groups, tile = task / (splits * g.groups);
      worker->run(tile, group, split * share, std::min(per_group, (split + 1) * share));
    }
  });
}

}  // namespace

bool table_products(const Geometry& g, const float* x, const Quantiser& q, const TableOperand& plain,
                    const Output& output, int threads, const Level& level) {
  thread_local Buffer image_memory, table_memory;
  TableOperand operand = plain;
  operand.table = arranged(level, plain.table, plain.rows * plain.planes, plain.entries, table_memory);
  if (const int64_t together = groups_together(g, threads); together > 0 && g.positions() > 0)
    return grouped_products(g, x, q, operand, output, together, threads, level);
  Image image;
  if (!make_image(g, x, q, threads, level, image_memory, image)) return false;
  if (g.batch * g.positions() > 0 && g.outputs > 0) whole_products(g, image, operand, output, threads, level);
  return true;
}

}  // namespace laxity
