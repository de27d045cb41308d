#include "stationary.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "parallel.h"
#include "table.h"

namespace laxity {
namespace {

constexpr int64_t kMaxTogether = 16;          // positions that share the weights in the cache
constexpr int64_t kListBytes = 192 * 1024;    // of the lists of positions that are computed together

// What scales the outputs, with room for a whole tile beyond the last.
struct Factors {
  std::vector<int32_t> constant;
  std::vector<float> scale, gain, bias;

  Factors(const Geometry& g, const StationaryOperand& operand, const Output& output) {
    const int64_t room = g.outputs + kTile;
    for (std::vector<float>* each : {&scale, &gain, &bias}) each->assign(room, 0.0f);
    constant.assign(room, 0);
    for (int64_t n = 0; n < g.outputs; ++n) {
      const Scaling s = output.at(n);
      constant[n] = static_cast<int32_t>(static_cast<uint64_t>(operand.constants[n]));
      scale[n] = s.scale;
      gain[n] = s.gain;
      bias[n] = s.bias;
    }
  }

  Lanes at(int64_t n) const { return {constant.data() + n, scale.data() + n, gain.data() + n, bias.data() + n}; }
};

// What all threads share.
struct Plan {
  const Geometry& g;
  const LastImage& image;
  const StationaryOperand& operand;
  const Output& output;
  const Level& level;
  const Factors* factors;  // null where sums are wanted
  int64_t pitch, together;
  bool flat;               // all rows have the same offset

  int64_t tiles() const { return (pitch + kTile - 1) / kTile; }
  bool wide() const { return operand.wide || operand.planes > 2; }
};

// The contributing activations of one output position.
struct List {
  uint32_t* offsets;  // of their weights
  uint8_t* rows;
  int64_t length;
  int64_t shift;   // sum of their rows' offsets
  int64_t target;  // of the position in the output
};

class Worker {
 public:
  explicit Worker(const Plan& plan)
      : p_(plan), g_(plan.g), chunk_(table_chunk(plan.operand.bits)),
        row_bytes_(static_cast<int64_t>(entry_count(plan.operand.entries))) {
    const int64_t room = g_.reduction() + kSlack;
    uint32_t* offsets = offsets_.get<uint32_t>(room * p_.together);
    uint8_t* rows = rows_.get<uint8_t>(room * p_.together);
    for (int64_t i = 0; i < p_.together; ++i) lists_.push_back({offsets + i * room, rows + i * room, 0, 0, 0});
  }

  // Tiles [from, to) of one group's outputs, for `count` positions from `first` on.
  void run(int64_t first, int64_t count, int64_t group, int64_t from, int64_t to) {
    for (int64_t i = 0; i < count; ++i) fill(lists_[i], first + i, group);
    for (int64_t t = from; t < to; ++t) {
      const uint8_t* codes = p_.operand.codes + group * g_.reduction() * p_.pitch + t * kTile;
      const int64_t left = g_.outputs_per_group() - t * kTile;
      tile(codes, count, group * g_.outputs_per_group() + t * kTile, std::min<int64_t>(kTile, left));
    }
  }

 private:
  void fill(List& list, int64_t m, int64_t group) const {
    const int64_t x = m % g_.out[2], y = m / g_.out[2] % g_.out[1], z = m / (g_.out[2] * g_.out[1]) % g_.out[0];
    const int64_t b = m / g_.positions(), channels = g_.inputs_per_group();
    const uint8_t* source = p_.image.data + b * p_.image.sample + z * g_.stride[0] * p_.image.slice +
                            y * g_.stride[1] * p_.image.row + x * g_.stride[2] * g_.channels + group * channels;
    list.target = b * g_.y_stride[0] + z * g_.y_stride[2] + y * g_.y_stride[3] + x * g_.y_stride[4];
    list.length = 0;
    // Taps of a row lie next to each other where nothing is between their channels.
    const bool joined = g_.groups == 1 && g_.dilation[2] == 1;
    const int64_t spans = joined ? 1 : g_.kernel[2], span = joined ? g_.kernel[2] * channels : channels;
    int64_t k = 0;
    for (int64_t i = 0; i < g_.kernel[0]; ++i)
      for (int64_t j = 0; j < g_.kernel[1]; ++j)
        for (int64_t s = 0; s < spans; ++s, k += span) {
          const uint8_t* from = source + i * g_.dilation[0] * p_.image.slice + j * g_.dilation[1] * p_.image.row +
                                s * g_.dilation[2] * g_.channels;
          list.length += enlist(from, span, static_cast<uint32_t>(k * p_.pitch), list.offsets + list.length,
                                list.rows + list.length);
        }
    list.shift = 0;
    if (p_.flat) {
      if (list.length > 0) list.shift = list.length * p_.operand.offsets[list.rows[0]];
    } else {
      for (int64_t i = 0; i < list.length; ++i) list.shift += p_.operand.offsets[list.rows[i]];
    }
  }

  // Lists the codes that contribute, or all where every code may.
  int64_t enlist(const uint8_t* codes, int64_t n, uint32_t base, uint32_t* offsets, uint8_t* rows) const {
    const auto step = static_cast<uint32_t>(p_.pitch);
    if (p_.operand.skip >= 0)
      return p_.level.compress(codes, n, static_cast<uint8_t>(p_.operand.skip), base, step, offsets, rows);
    for (int64_t i = 0; i < n; ++i) offsets[i] = base + static_cast<uint32_t>(i) * step;
    std::memcpy(rows, codes, n);
    return n;
  }

  // `outputs` outputs from `n` on. Positions go through the weights together, one chunk of their lists after another.
  void tile(const uint8_t* codes, int64_t count, int64_t n, int64_t outputs) {
    const int blocks = static_cast<int>((outputs + kBlock - 1) / kBlock);
    int64_t longest = 1;
    for (int64_t i = 0; i < count; ++i) longest = std::max(longest, lists_[i].length);
    int32_t* acc = acc_.get<int32_t>(p_.together * kTile);
    int64_t* totals = nullptr;
    if (p_.wide()) {
      totals = totals_.get<int64_t>(p_.together * kTile);
      std::memset(totals, 0, sizeof(int64_t) * count * kTile);
    }
    for (int64_t k = 0; k < longest; k += chunk_)
      for (int64_t i = 0; i < count; ++i) {
        const int64_t length = std::min(chunk_, lists_[i].length - k);
        if (length <= 0 && k > 0) continue;
        if (totals != nullptr) {
          add_wide(codes, lists_[i], k, std::max<int64_t>(0, length), blocks, acc, totals + i * kTile);
        } else {
          look_up(0, blocks, codes, lists_[i], k, std::max<int64_t>(0, length), acc + i * kTile, k == 0);
        }
      }
    if (totals != nullptr) {
      for (int64_t i = 0; i < count; ++i) emit_wide(lists_[i], n, outputs, totals + i * kTile);
    } else if (p_.output.sums != nullptr) {
      for (int64_t i = 0; i < count; ++i) emit_sums(lists_[i], n, outputs, acc + i * kTile);
    } else {
      emit(count, n, outputs, acc);
    }
  }

  void look_up(int pair, int blocks, const uint8_t* codes, const List& list, int64_t k, int64_t length, int32_t* acc,
               bool first) const {
    const StationaryOperand& o = p_.operand;
    const int planes = std::min(2, o.planes - 2 * pair);
    const uint8_t* table = o.table + pair * o.rows * 2 * row_bytes_;
    p_.level.table[static_cast<int>(o.entries)][planes - 1][width_index(o.bits)][blocks - 1](
        codes, list.offsets + k, list.rows + k, table, length, acc, first);
  }

  // Sums beyond 31 bits: every pair of planes in spans whose sum fits, added up in 64 bits.
  void add_wide(const uint8_t* codes, const List& list, int64_t k, int64_t length, int blocks, int32_t* acc,
                int64_t* totals) const {
    alignas(64) int32_t ordered[kBlock];
    for (int pair = 0; 2 * pair < p_.operand.planes; ++pair) {
      look_up(pair, blocks, codes, list, k, length, acc, true);
      for (int b = 0; b < blocks; ++b) {
        p_.level.natural(acc + b * kBlock, nullptr, ordered);
        for (int m = 0; m < kBlock; ++m)
          totals[b * kBlock + m] += static_cast<int64_t>(ordered[m]) << (2 * p_.operand.bits * pair);
      }
    }
  }

  void emit_wide(const List& list, int64_t n, int64_t outputs, const int64_t* totals) const {
    for (int64_t j = 0; j < outputs; ++j) {
      const int64_t sum = totals[j] + list.shift + p_.operand.constants[n + j];
      const int64_t to = list.target + (n + j) * g_.y_stride[1];
      if (p_.output.sums != nullptr) {
        p_.output.sums[to] = sum;
      } else {
        const Scaling s = p_.output.at(n + j);
        p_.output.scaled[to] = static_cast<float>(sum) * s.scale * s.gain + s.bias;
      }
    }
  }

  void emit_sums(const List& list, int64_t n, int64_t outputs, const int32_t* acc) const {
    alignas(64) int32_t ordered[kBlock];
    for (int64_t j = 0; j < outputs; ++j) {
      if (j % kBlock == 0) p_.level.natural(acc + j, nullptr, ordered);
      p_.output.sums[list.target + (n + j) * g_.y_stride[1]] =
          ordered[j % kBlock] + list.shift + p_.operand.constants[n + j];
    }
  }

  // Scales whole blocks where they belong, or beside it, from where they are copied.
  void emit(int64_t count, int64_t n, int64_t outputs, const int32_t* acc) {
    const bool near = g_.y_stride[1] == 1;
    float* lines = lines_.get<float>(p_.together * kTile);
    for (int64_t i = 0; i < count; ++i) {
      const int32_t shift = static_cast<int32_t>(static_cast<uint64_t>(lists_[i].shift));
      float* out = p_.output.scaled + lists_[i].target + n;
      for (int64_t j = 0; j < outputs; j += kBlock) {
        const bool whole = near && outputs - j >= kBlock;
        float* to = whole ? out + j : lines + i * kTile + j;
        p_.level.scaled_lanes(acc + i * kTile + j, shift, p_.factors->at(n + j), to);
        if (near && !whole) std::memcpy(out + j, to, sizeof(float) * (outputs - j));
      }
    }
    if (near) return;
    for (int64_t j = 0; j < outputs; ++j) {
      float* out = p_.output.scaled + (n + j) * g_.y_stride[1];
      for (int64_t i = 0; i < count; ++i) out[lists_[i].target] = lines[i * kTile + j];
    }
  }

  const Plan& p_;
  const Geometry& g_;
  const int64_t chunk_, row_bytes_;
  std::vector<List> lists_;
  Buffer offsets_, rows_, acc_, totals_, lines_;
};

bool same_offsets(const StationaryOperand& operand) {
  const int64_t first = operand.skip == 0 && operand.rows > 1 ? 1 : 0;
  for (int64_t row = first; row < operand.rows; ++row)
    if (row != operand.skip && operand.offsets[row] != operand.offsets[first]) return false;
  return true;
}

}  // namespace

void stationary_products(const Geometry& g, const LastImage& image, const StationaryOperand& plain,
                         const Output& output, int threads, const Level& level) {
  const int64_t positions = g.batch * g.positions();
  if (positions == 0 || g.outputs == 0) return;
  thread_local Buffer memory;
  StationaryOperand operand = plain;
  operand.table = arranged(level, plain.table, plain.rows * plain.planes, plain.entries, memory);
  threads = std::max(1, threads);
  const int64_t list_bytes = 5 * (g.reduction() + kSlack);
  const int64_t together = std::max<int64_t>(
      1, std::min({kMaxTogether, kListBytes / list_bytes, (positions + threads - 1) / threads}));
  std::unique_ptr<Factors> factors;
  if (output.scaled != nullptr) factors = std::make_unique<Factors>(g, operand, output);
  const Plan plan{g,      image, operand, output, level, factors.get(), stationary_pitch(g), together,
                  same_offsets(operand)};
  // Few positions are shared out by outputs too.
  const int64_t parts = (positions + together - 1) / together, tiles = plan.tiles();
  int64_t splits = 1;
  while (parts * g.groups * splits < 4 * threads && splits < tiles && threads > 1) ++splits;
  const int64_t share = (tiles + splits - 1) / splits;
  std::vector<std::unique_ptr<Worker>> workers(threads);
  parallel_for(threads, parts * g.groups * splits, [&](int who, int64_t task) {
    auto& worker = workers[who];
    if (!worker) worker = std::make_unique<Worker>(plan);
    const int64_t split = task % splits, group = task / splits % g.groups, part = task / (splits * g.groups);
    const int64_t first = part * together;
    worker->run(first, std::min(together, positions - first), group, split * share,
                std::min(tiles, (split + 1) * share));
  });
}

}  // namespace laxity
