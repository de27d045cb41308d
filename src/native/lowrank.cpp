#include "lowrank.h"

#include <algorithm>
#include <cstring>

#include "parallel.h"

namespace laxity {
namespace {

constexpr int64_t kStrip = 96;            // positions whose accumulators stay in the cache
constexpr int64_t kCached = 16 << 20;     // bytes of output that the next layer may still find in a cache
constexpr int64_t kExactQuads = 1 << 14;  // of unsigned by signed bytes, whose sum fits in 31 bits

// Whether dimension d only lists positions: nothing is shared among them and nothing is added at the ends.
bool plain(const Geometry& g, int d) {
  return g.kernel[d] == 1 && g.stride[d] == 1 && g.before[d] == 0 && g.after[d] == 0;
}

// The same sums by a geometry with longer rows: inputs that no output reads are skipped, and positions of several
// dimensions that lie at equal distances become one dimension.
Geometry flatten(Geometry g) {
  for (int d = 0; d < 3; ++d)
    if (g.kernel[d] == 1 && g.before[d] == 0 && g.after[d] == 0) {
      g.in[d] = g.out[d];
      g.x_stride[2 + d] *= g.stride[d];
      g.stride[d] = 1;
    }
  // Outer dimension as an index into the strides; 0 is the batch, which has no dimension of its own in `in`.
  for (int outer : {3, 2, 0}) {
    if (!plain(g, 2)) break;
    int64_t& count = outer == 0 ? g.batch : g.in[outer - 2];
    if (outer != 0 && !plain(g, outer - 2)) break;
    const bool follows = g.x_stride[outer] == g.in[2] * g.x_stride[4] && g.y_stride[outer] == g.in[2] * g.y_stride[4];
    if (count == 1) continue;
    if (g.in[2] == 1) {
      g.x_stride[4] = g.x_stride[outer];
      g.y_stride[4] = g.y_stride[outer];
    } else if (!follows) {
      break;
    }
    g.in[2] *= count;
    g.out[2] = g.in[2];
    count = 1;
    if (outer != 0) g.out[outer - 2] = 1;
  }
  return g;
}

// Taps that lie next to each other in the image are one stretch.
struct Reduction {
  int64_t quads;                 // of one stretch
  std::vector<int64_t> offsets;  // of the stretches

  Reduction(const Geometry& g, const LowrankImage& image, int64_t pitch) {
    const bool joined = g.dilation[2] == 1;
    quads = pitch / kQuad * (joined ? g.kernel[2] : 1);
    for (int64_t z = 0; z < g.kernel[0]; ++z)
      for (int64_t y = 0; y < g.kernel[1]; ++y)
        for (int64_t x = 0; x < (joined ? 1 : g.kernel[2]); ++x)
          offsets.push_back(pitch * (z * g.dilation[0] * image.slice + y * g.dilation[1] * image.row +
                                     x * g.dilation[2]));
  }
};

// Consecutive output positions, which may run over the ends of rows and samples.
struct Strip {
  int64_t count = 0, stretches = 0;
  int64_t pixel[kStrip];  // where the window of each begins, in the image of group 0
  Run stretch[kStrip];    // runs of equal distances in the output

  void place(const Geometry& g, const LowrankImage& image, int64_t first, int64_t positions) {
    int64_t x = first % g.out[2], y = first / g.out[2] % g.out[1], z = first / (g.out[2] * g.out[1]) % g.out[0];
    int64_t b = first / g.positions();
    count = stretches = 0;
    while (count < positions) {
      const int64_t length = std::min(positions - count, g.out[2] - x);
      const int64_t source = b * image.sample + z * g.stride[0] * image.slice + y * g.stride[1] * image.row;
      for (int64_t i = 0; i < length; ++i) pixel[count + i] = source + (x + i) * g.stride[2];
      append(b * g.y_stride[0] + z * g.y_stride[2] + y * g.y_stride[3] + x * g.y_stride[4], length, g.y_stride[4]);
      count += length;
      x = 0;
      if (++y == g.out[1]) {
        y = 0;
        if (++z == g.out[0]) z = 0, ++b;
      }
    }
  }

  void append(int64_t target, int64_t length, int64_t step) {
    if (stretches > 0) {
      Run& before = stretch[stretches - 1];
      if (before.target + before.length * step == target) {
        before.length += static_cast<int32_t>(length);
        return;
      }
    }
    stretch[stretches++] = {0, target, static_cast<int32_t>(count), static_cast<int32_t>(length)};
  }
};

class Layer {
 public:
  Layer(const Geometry& g, const LowrankImage& image, const LowrankOperand& operand, const Output& output,
        const Level& level)
      : g_(g), image_(image), operand_(operand), output_(output), level_(level.lowrank),
        vectors_((g.outputs_per_group() + kVector - 1) / kVector),
        streamed_(g.batch * g.outputs * g.positions() * static_cast<int64_t>(sizeof(float)) > kCached) {
    const int8_t* weights = operand.weights;
    for (size_t j = 0; j < operand.bundles.size(); ++j) {
      reductions_.emplace_back(g, image, image.parts[j].pitch);
      weights_.push_back(weights);
      weights += g.groups * vectors_ * vector_bytes(j);
    }
  }

  int64_t vectors() const { return vectors_; }

  // Outputs of `vectors` vectors of a group, from vector `from` on, for one strip.
  void run(const Strip& strip, int64_t group, int64_t from, int64_t vectors) const {
    alignas(64) int32_t acc[(kStrip + kVector) * kWideTile];
    thread_local Buffer memory;
    int64_t* totals = operand_.wide ? memory.get<int64_t>(kStrip * kWideTile) : nullptr;
    for (int64_t v = from; v < from + vectors; v += kMaxVectors) {
      const int64_t width = std::min<int64_t>(kMaxVectors, from + vectors - v);
      if (operand_.wide) {
        add_wide(strip, group, v, width, acc, totals);
        emit_each(strip, group, v, width, totals);
      } else {
        add(strip, group, v, width, acc);
        emit(strip, group, v, width, acc);
      }
    }
  }

 private:
  int64_t vector_bytes(size_t j) const {
    return static_cast<int64_t>(reductions_[j].offsets.size()) * reductions_[j].quads * kVector * kQuad;
  }

  LowrankTile tile(size_t j, int64_t group, int64_t vector) const {
    const Reduction& r = reductions_[j];
    return {nullptr, r.offsets.data(), static_cast<int64_t>(r.offsets.size()), r.quads,
            weights_[j] + (group * vectors_ + vector) * vector_bytes(j), vector_bytes(j),
            static_cast<int32_t>(operand_.bundles[j].factor), j == 0, nullptr};
  }

  // Cuts a strip into tiles of nearly the same size.
  void each_tile(const Strip& strip, size_t j, int64_t group, int64_t width, LowrankTile tile, int32_t* acc) const {
    const LowrankImage::Part& part = image_.parts[j];
    const uint8_t* rows[kStrip];
    const uint8_t* plane = part.data + group * image_.plane * part.pitch;
    for (int64_t m = 0; m < strip.count; ++m) rows[m] = plane + strip.pixel[m] * part.pitch;
    const int64_t most = level_.rows[width - 1], tiles = (strip.count + most - 1) / most;
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t from = strip.count * i / tiles, to = strip.count * (i + 1) / tiles;
      tile.rows = rows + from;
      tile.acc = acc + from * kWideTile;
      level_.micro[width - 1][to - from - 1](tile);
    }
  }

  void add(const Strip& strip, int64_t group, int64_t vector, int64_t width, int32_t* acc) const {
    for (size_t j = 0; j < reductions_.size(); ++j)
      each_tile(strip, j, group, width, tile(j, group, vector), acc);
  }

  // Stretches whose sum fits in 31 bits, added up in 64.
  void add_wide(const Strip& strip, int64_t group, int64_t vector, int64_t width, int32_t* acc, int64_t* totals) const {
    std::memset(totals, 0, sizeof(int64_t) * kStrip * kWideTile);
    for (size_t j = 0; j < reductions_.size(); ++j) {
      const Reduction& r = reductions_[j];
      const LowrankTile whole = tile(j, group, vector);
      const int64_t together = r.quads > 0 ? std::max<int64_t>(1, kExactQuads / r.quads) : whole.runs;
      for (int64_t run = 0; run < whole.runs; run += together)
        for (int64_t quad = 0; quad < r.quads; quad += kExactQuads) {
          const int64_t offset = r.offsets[run] + quad * kQuad;
          LowrankTile part = whole;
          part.offsets = together == 1 ? &offset : r.offsets.data() + run;
          part.runs = std::min(together, whole.runs - run);
          part.quads = std::min(r.quads - quad, kExactQuads);
          part.weights += (run * r.quads + quad) * kVector * kQuad;
          part.factor = 1;
          part.first = true;
          each_tile(strip, j, group, width, part, acc);
          for (int64_t m = 0; m < strip.count; ++m)
            for (int64_t n = 0; n < width * kVector; ++n)
              totals[m * kWideTile + n] += operand_.bundles[j].factor * acc[m * kWideTile + n];
        }
    }
  }

  void emit(const Strip& strip, int64_t group, int64_t vector, int64_t width, const int32_t* acc) const {
    const bool columns = g_.y_stride[1] == 1, planes = g_.y_stride[4] == 1;
    if (output_.sums || !(columns || planes)) {
      emit_each(strip, group, vector, width, acc);
      return;
    }
    const int64_t first = group * g_.outputs_per_group() + vector * kVector;
    const int64_t outputs = std::min(width * kVector, g_.outputs_per_group() - vector * kVector);
    const LowrankScaling scaling{operand_.constants + first, output_.scale + first, output_.gain + first,
                                 output_.bias ? output_.bias + first : nullptr, streamed_};
    for (int64_t i = 0; i < strip.stretches; ++i) {
      const Run& run = strip.stretch[i];
      (columns ? level_.columns : level_.planes)(acc + run.start * kWideTile, run.length, outputs, scaling,
                                                 output_.scaled + run.target + first * g_.y_stride[1],
                                                 g_.y_stride[columns ? 4 : 1]);
    }
  }

  template <class Total>
  void emit_each(const Strip& strip, int64_t group, int64_t vector, int64_t width, const Total* totals) const {
    const int64_t outputs = std::min(width * kVector, g_.outputs_per_group() - vector * kVector);
    for (int64_t i = 0; i < strip.stretches; ++i) {
      const Run& run = strip.stretch[i];
      for (int64_t j = 0; j < outputs; ++j) {
        const int64_t n = group * g_.outputs_per_group() + vector * kVector + j;
        for (int64_t m = 0; m < run.length; ++m) {
          const int64_t sum = operand_.constants[n] + totals[(run.start + m) * kWideTile + j];
          const int64_t to = run.target + n * g_.y_stride[1] + m * g_.y_stride[4];
          if (output_.sums) {
            output_.sums[to] = sum;
          } else {
            const Scaling s = output_.at(n);
            output_.scaled[to] = static_cast<float>(sum) * s.scale * s.gain + s.bias;
          }
        }
      }
    }
  }

  const Geometry& g_;
  const LowrankImage& image_;
  const LowrankOperand& operand_;
  const Output& output_;
  const LowrankLevel& level_;
  const int64_t vectors_;
  const bool streamed_;
  std::vector<Reduction> reductions_;
  std::vector<const int8_t*> weights_;
};

void run_layer(const Geometry& g, const LowrankImage& image, const Layer& layer, int threads) {
  const int64_t positions = g.batch * g.positions(), strips = (positions + kStrip - 1) / kStrip;
  // Few strips are shared out by outputs too.
  const int64_t wanted = 16 * std::max(1, threads), widths = (layer.vectors() + kMaxVectors - 1) / kMaxVectors;
  const int64_t splits = std::min(widths, (wanted + strips * g.groups - 1) / (strips * g.groups));
  const int64_t tasks = strips * g.groups * splits, step = std::max<int64_t>(1, std::min<int64_t>(8, tasks / wanted));
  parallel_for(threads, (tasks + step - 1) / step, [&](int, int64_t block) {
    Strip strip;
    int64_t placed = -1;
    for (int64_t task = block * step; task < std::min(tasks, (block + 1) * step); ++task) {
      const int64_t split = task % splits, group = task / splits % g.groups, index = task / (splits * g.groups);
      if (index != placed) strip.place(g, image, index * kStrip, std::min(kStrip, positions - index * kStrip));
      placed = index;
      const int64_t from = widths * split / splits * kMaxVectors, to = widths * (split + 1) / splits * kMaxVectors;
      layer.run(strip, group, from, std::min(to, layer.vectors()) - from);
    }
  });
}

}  // namespace

bool lowrank_products(const Geometry& given, const float* x, const Quantiser& q, const LowrankOperand& operand,
                      const Output& output, int threads, const Level& level) {
  if (given.batch * given.positions() == 0 || given.outputs == 0) return true;
  const Geometry g = flatten(given);
  thread_local Buffer memory;
  LowrankImage image;
  if (!make_lowrank_image(g, x, q, operand, threads, level, memory, image)) return false;
  run_layer(g, image, Layer(g, image, operand, output, level), threads);
  return true;
}

}  // namespace laxity
