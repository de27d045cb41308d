// What one thread does for one tile of a layer with weights at rest.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "buffer.h"
#include "copy.h"
#include "table.h"
#include "table_tile.h"

namespace laxity {

constexpr int64_t kOutputs = 256;  // outputs whose partial sums stay in the cache

// Everything that one thread needs for one tile.
class Worker {
 public:
  Worker(const Geometry& g, const Image& image, const TableOperand& operand, const Output& output, const Level& level,
         const Tiling& tiling, const std::vector<int64_t>& offsets, const std::vector<uint32_t>& direct)
      : g_(g), image_(image), operand_(operand), output_(output), level_(level), tiling_(tiling), offsets_(offsets),
        direct_(direct), k_(g.reduction()), chunk_(table_chunk(operand.bits)),
        pairs_((operand.planes + 1) / 2), entry_bytes_(entry_count(operand.entries)) {
    for (int64_t i = 0; i < chunk_; ++i) packed_offsets_.push_back(static_cast<uint32_t>(i * kTile));
    zeros_.assign(chunk_, static_cast<uint8_t>(operand.zero_row));
  }

  // Outputs [from, to) of one group, for one tile.
  void run(int64_t tile, int64_t group, int64_t from, int64_t to) {
    place(tile);
    group_ = group;
    for (int64_t n = from; n < to; n += kOutputs) outputs(n, std::min(to, n + kOutputs));
    flush();
  }

  // All outputs of some groups, for one tile.
  void run_groups(int64_t tile, int64_t first, int64_t last) {
    place(tile);
    for (group_ = first; group_ < last; ++group_)
      for (int64_t n = 0; n < g_.outputs_per_group(); n += kOutputs)
        outputs(n, std::min(g_.outputs_per_group(), n + kOutputs));
    flush();
  }

 private:
  // Few tiles are kept, because grouped layers come back to them for every group.
  void place(int64_t tile) {
    const size_t slot = tiling_.tiles <= kKept ? tile : 0;
    if (tiles_.size() <= slot) tiles_.resize(slot + 1);
    Kept& kept = tiles_[slot];
    if (kept.index != tile) kept.tile.place(g_, image_, tiling_, tile);
    kept.index = tile;
    tile_ = &kept.tile;
  }

  void outputs(int64_t from, int64_t to) {
    const int64_t first = group_ * g_.outputs_per_group() + from, count = to - from;
    if (operand_.wide) {
      wide(first, count);
      return;
    }
    int32_t* acc = acc_.get<int32_t>((count + 1) * kTile);
    int32_t* base = operand_.entries == Entries::kSigned ? acc + count * kTile : nullptr;
    const bool single = k_ <= chunk_ && base == nullptr;
    for (int64_t k = 0; k == 0 || k < k_; k += chunk_) {
      const int64_t length = std::min(chunk_, k_ - k);
      prepare(k, length);
      if (base) micro(0)(a_, offset_, zeros_.data(), operand_.table, length, base, k == 0);
      for (int64_t i = 0; i < count; ++i) {
        int32_t* to_acc = single ? acc : acc + i * kTile;
        micro(0)(a_, offset_, operand_.codes + (first + i) * k_ + k, operand_.table, length, to_acc, k == 0);
        if (single) emit(first + i, acc, nullptr);
      }
    }
    if (!single) {
      for (int64_t i = 0; i < count; ++i) emit(first + i, acc + i * kTile, base);
    }
  }

  // The function for the planes of pair `pair` (0: the first).
  TableMicro micro(int pair) const {
    const int planes = std::min(2, operand_.planes - 2 * pair);
    return level_.table[static_cast<int>(operand_.entries)][planes - 1][width_index(operand_.bits)][tile_->blocks - 1];
  }

  const uint8_t* pair_table(int pair) const { return operand_.table + pair * operand_.rows * 2 * entry_bytes_; }

  // Makes a_ and offset_ stand for reduction indices [k, k + length).
  void prepare(int64_t k, int64_t length) {
    const int64_t channels = group_ * g_.inputs_per_group() * image_.plane;
    if (tiling_.direct) {
      a_ = image_.data + tile_->base + channels;
      offset_ = direct_.data() + k;
      return;
    }
    uint8_t* packed = packed_.get<uint8_t>(chunk_ * kTile + kSlack);
    level_.pack(image_.data + channels, offsets_.data() + k, length, tile_->runs.data(), tile_->runs.size(), packed);
    a_ = packed;
    offset_ = packed_offsets_.data();
  }

  // Sums beyond 31 bits: every pair of planes in spans whose sum fits, added up in 64 bits.
  void wide(int64_t first, int64_t count) {
    int64_t* totals = totals_.get<int64_t>(count * kTile);
    std::memset(totals, 0, sizeof(int64_t) * count * kTile);
    int32_t* acc = acc_.get<int32_t>(kTile);
    alignas(64) int32_t ordered[kBlock];
    for (int64_t k = 0; k < k_; k += chunk_) {
      const int64_t length = std::min(chunk_, k_ - k);
      prepare(k, length);
      for (int64_t i = 0; i < count; ++i)
        for (int pair = 0; pair < pairs_; ++pair) {
          micro(pair)(a_, offset_, operand_.codes + (first + i) * k_ + k, pair_table(pair), length, acc, true);
          for (int b = 0; b < tile_->blocks; ++b) {
            level_.natural(acc + b * kBlock, nullptr, ordered);
            int64_t* to = totals + i * kTile + b * kBlock;
            for (int m = 0; m < kBlock; ++m) to[m] += static_cast<int64_t>(ordered[m]) << (2 * operand_.bits * pair);
          }
        }
    }
    for (int64_t i = 0; i < count; ++i) emit_wide(first + i, totals + i * kTile);
  }

  void emit_wide(int64_t n, const int64_t* totals) const {
    const int64_t constant = operand_.constants[n];
    for (const Run& run : tile_->targets)
      for (int32_t j = 0; j < run.length; ++j) {
        const int64_t sum = totals[run.start + j] + constant, to = place(n, run, j);
        if (output_.sums) {
          output_.sums[to] = sum;
        } else {
          const Scaling s = output_.at(n);
          output_.scaled[to] = static_cast<float>(sum) * s.scale * s.gain + s.bias;
        }
      }
  }

  int64_t place(int64_t n, const Run& run, int64_t j) const {
    return run.target + n * g_.y_stride[1] + j * g_.y_stride[4];
  }

  // Writes the results of output n.
  void emit(int64_t n, const int32_t* acc, const int32_t* base) {
    if (output_.sums) {
      emit_sums(n, acc, base);
    } else if (g_.y_stride[4] == 1) {
      emit_rows(n, acc, base);
    } else {
      emit_columns(n, acc, base);
    }
  }

  void emit_sums(int64_t n, const int32_t* acc, const int32_t* base) const {
    alignas(64) int32_t ordered[kTile];
    for (int b = 0; b < tile_->blocks; ++b)
      level_.natural(acc + b * kBlock, base ? base + b * kBlock : nullptr, ordered + b * kBlock);
    // Sums of rows less their least products may wrap in 32 bits; with the constant, which takes these back in, they fit.
    const uint32_t constant = static_cast<uint32_t>(operand_.constants[n]);
    for (const Run& run : tile_->targets)
      for (int32_t j = 0; j < run.length; ++j)
        output_.sums[place(n, run, j)] = static_cast<int32_t>(static_cast<uint32_t>(ordered[run.start + j]) + constant);
  }

  void scale_to(int64_t n, const int32_t* acc, const int32_t* base, float* to) const {
    const Scaling s = output_.at(n);
    const int32_t constant = static_cast<int32_t>(static_cast<uint64_t>(operand_.constants[n]));
    for (int b = 0; b < tile_->blocks; ++b)
      level_.scaled(acc + b * kBlock, base ? base + b * kBlock : nullptr, constant, s, to + b * kBlock);
  }

  void emit_rows(int64_t n, const int32_t* acc, const int32_t* base) const {
    if (tile_->targets.size() == 1 && tile_->targets[0].length == tile_->blocks * kBlock) {
      scale_to(n, acc, base, output_.scaled + place(n, tile_->targets[0], 0));
      return;
    }
    alignas(64) float line[kTile];
    scale_to(n, acc, base, line);
    for (const Run& run : tile_->targets)
      copy_bytes(line + run.start, output_.scaled + place(n, run, 0), sizeof(float) * run.length);
  }

  // Channels next to each other: up to sixteen outputs are collected and written together.
  void emit_columns(int64_t n, const int32_t* acc, const int32_t* base) {
    if (waiting_ == 0) first_waiting_ = n;
    scale_to(n, acc, base, columns_ + waiting_ * kTile);
    if (++waiting_ == kColumns) flush();
  }

  void flush() {
    if (waiting_ == 0) return;
    const int64_t apart = g_.y_stride[1];
    for (const Run& run : tile_->targets) {
      const float* from = columns_ + run.start;
      float* to = output_.scaled + place(first_waiting_, run, 0);
      if (apart == 1) {
        level_.transpose(from, kTile, waiting_, run.length, to, g_.y_stride[4]);
        continue;
      }
      for (int64_t j = 0; j < run.length; ++j)
        for (int64_t c = 0; c < waiting_; ++c) to[j * g_.y_stride[4] + c * apart] = from[c * kTile + j];
    }
    waiting_ = 0;
  }

  const Geometry& g_;
  const Image& image_;
  const TableOperand& operand_;
  const Output& output_;
  const Level& level_;
  const Tiling& tiling_;
  const std::vector<int64_t>& offsets_;
  const std::vector<uint32_t>& direct_;
  const int64_t k_, chunk_;
  const int pairs_;
  const int64_t entry_bytes_;
  std::vector<uint32_t> packed_offsets_;
  std::vector<uint8_t> zeros_;
  struct Kept {
    int64_t index = -1;
    Tile tile;
  };
  static constexpr int64_t kKept = 64;
  std::vector<Kept> tiles_;
  const Tile* tile_ = nullptr;
  int64_t group_ = 0;
  const uint8_t* a_ = nullptr;
  const uint32_t* offset_ = nullptr;
  Buffer acc_, packed_, totals_;
  static constexpr int64_t kColumns = 16;
  alignas(64) float columns_[kColumns * kTile];  // outputs that wait to be written together
  int64_t waiting_ = 0, first_waiting_ = 0;
};

}  // namespace laxity
