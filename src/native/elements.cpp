// What the sums of a layer change by where one element of a systolic array multiplies wrongly, another one for every
// sample: sums of table entries over the products that this element makes. Arrays belong to the Python side, see
// laxity.campaign.placed.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <class T, class Shape>
using Array = nb::ndarray<T, Shape, nb::c_contig, nb::device::cpu>;
using Maps = Array<const float, nb::ndim<4>>;
using Weights = Array<const int32_t, nb::ndim<3>>;
using Numbers = Array<const int64_t, nb::ndim<1>>;
using Table = Array<const int32_t, nb::ndim<2>>;
using Flags = Array<const uint8_t, nb::ndim<1>>;
using Changes = Array<int32_t, nb::ndim<3>>;
using Pair = std::array<int, 2>;

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

struct Group {
  int outputs, first_block, blocks;
  std::vector<int32_t> weights;  // (columns, channels, taps)
};

struct FaultyTable {
  const int32_t* entries;
  const uint8_t* used;  // rows that are not all 0
};

class Layer {
 public:
  Layer(bool weight_stationary, Pair array, std::array<int, 3> map, Pair kernel, Pair stride, Pair dilation,
        std::array<int, 4> margins, Pair positions, Pair codes)
      : resting_(weight_stationary), rows_(array[0]), columns_(array[1]), channels_(map[0]), height_(map[1]),
        width_(map[2]), top_(margins[0]), left_(margins[2]), zero_(codes[0]), activations_(codes[1]),
        padded_height_(map[1] + margins[0] + margins[1]), padded_width_(map[2] + margins[2] + margins[3]),
        taps_(kernel[0] * kernel[1]), positions_(positions[0] * positions[1]) {
    require(rows_ > 0 && columns_ > 0 && channels_ > 0 && taps_ > 0 && positions_ > 0, "sizes are not positive");
    require(top_ >= 0 && margins[1] >= 0 && left_ >= 0 && margins[3] >= 0, "margins are negative");
    require(activations_ > 0 && activations_ <= 1 << 16 && zero_ >= 0 && zero_ < activations_, "codes do not fit");
    for (int axis = 0; axis < 2; axis++) {
      int reach = (positions[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
      require(stride[axis] > 0 && dilation[axis] > 0 && reach <= (axis ? padded_width_ : padded_height_),
              "windows leave the map");
    }
    for (int y = 0; y < kernel[0]; y++)
      for (int x = 0; x < kernel[1]; x++) tap_.push_back(y * dilation[0] * padded_width_ + x * dilation[1]);
    for (int y = 0; y < positions[0]; y++)
      for (int x = 0; x < positions[1]; x++) place_.push_back(y * stride[0] * padded_width_ + x * stride[1]);
  }

  void add_group(int outputs, int first_block, const Weights& weights) {
    int channels = static_cast<int>(weights.shape(1));
    require(outputs > 0 && outputs <= columns_ && first_block >= 0, "a group is out of range");
    require(weights.shape(0) == size_t(columns_) && channels % rows_ == 0 && weights.shape(2) == size_t(taps_),
            "weights do not fit the array");
    Group group{outputs, first_block, channels / rows_, {weights.data(), weights.data() + weights.size()}};
    for (int32_t w : group.weights) require(w >= 0, "a weight is out of range");
    for (int32_t w : group.weights) weight_codes_ = std::max(weight_codes_, w + 1);
    groups_.push_back(std::move(group));
  }

  void run(const Maps& maps, const std::array<float, 4>& quantiser, const Numbers& row, const Numbers& column,
           const Numbers& table, const std::vector<Table>& tables, const std::vector<Flags>& used,
           const Changes& out) const {
    size_t count = maps.shape(0);
    require(maps.shape(1) == size_t(channels_) && maps.shape(2) == size_t(height_) && maps.shape(3) == size_t(width_),
            "maps have another shape");
    require(row.shape(0) == count && column.shape(0) == count && table.shape(0) == count && out.shape(0) == count,
            "samples are missing");
    int places = resting_ ? positions_ : (positions_ + rows_ - 1) / rows_;
    require(out.shape(1) == groups_.size() && out.shape(2) == size_t(places), "results have another shape");
    require(quantiser[3] - quantiser[2] + 1 == float(activations_), "the quantiser makes other codes");
    require(tables.size() == used.size(), "flags are missing");
    for (size_t i = 0; i < tables.size(); i++)
      require(tables[i].shape(0) >= size_t(weight_codes_) && tables[i].shape(1) == size_t(activations_) &&
                  used[i].shape(0) == tables[i].shape(0), "a table has another shape");
    for (size_t i = 0; i < count; i++) {
      require(row.data()[i] >= 0 && row.data()[i] < rows_ && column.data()[i] >= 0 && column.data()[i] < columns_,
              "an element is out of range");
      require(table.data()[i] >= 0 && size_t(table.data()[i]) < tables.size(), "a table is out of range");
    }
    std::vector<FaultyTable> faulty;
    for (size_t i = 0; i < tables.size(); i++) faulty.push_back({tables[i].data(), used[i].data()});
    nb::gil_scoped_release free;
    std::vector<uint16_t> plane(size_t(padded_height_) * padded_width_);
    size_t size = size_t(channels_) * height_ * width_;
    for (size_t i = 0; i < count; i++)
      sample(maps.data() + i * size, quantiser, static_cast<int>(row.data()[i]), static_cast<int>(column.data()[i]),
             faulty[table.data()[i]], plane, out.data() + i * groups_.size() * places, places);
  }

 private:
  void sample(const float* maps, const std::array<float, 4>& quantiser, int row, int column, const FaultyTable& table,
              std::vector<uint16_t>& plane, int32_t* out, int places) const {
    int blocks = 0;
    for (const Group& group : groups_) blocks = std::max(blocks, group.first_block + group.blocks);
    int first = resting_ ? row : 0, step = resting_ ? rows_ : 1;
    for (int channel = first; channel < blocks * rows_; channel += step) {
      bool made = false;
      for (size_t g = 0; g < groups_.size(); g++) {
        const Group& group = groups_[g];
        int own = channel - group.first_block * rows_, channels = group.blocks * rows_;
        if (own < 0 || own >= channels || column >= group.outputs) continue;
        const int32_t* weights = group.weights.data() + (size_t(column) * channels + own) * taps_;
        for (int tap = 0; tap < taps_; tap++) {
          if (!table.used[weights[tap]]) continue;
          const int32_t* entries = table.entries + size_t(weights[tap]) * activations_;
          int32_t* sums = out + g * places;
          if (channel >= channels_) {  // lanes without a channel hold the code of zero
            for (int k = 0, p = resting_ ? 0 : row; p < positions_; k++, p += resting_ ? 1 : rows_)
              sums[k] += entries[zero_];
            continue;
          }
          if (!made) fill(maps + size_t(channel) * height_ * width_, quantiser, plane);
          made = true;
          const uint16_t* seen = plane.data() + tap_[tap];
          if (resting_)
            for (int p = 0; p < positions_; p++) sums[p] += entries[seen[place_[p]]];
          else
            for (int k = 0, p = row; p < positions_; k++, p += rows_) sums[k] += entries[seen[place_[p]]];
        }
      }
    }
  }

  // Codes less the least one, with the code of zero around them.
  void fill(const float* map, const std::array<float, 4>& quantiser, std::vector<uint16_t>& plane) const {
    const float scale = quantiser[0], zero = quantiser[1], low = quantiser[2], high = quantiser[3];
    const float least = low - zero, greatest = high - zero;
    const float magic = 12582912.0f;  // 1.5 * 2^23: the sum has no bits below 1, and rounds to even
    std::fill(plane.begin(), plane.end(), static_cast<uint16_t>(zero_));
    for (int y = 0; y < height_; y++) {
      uint16_t* to = plane.data() + size_t(y + top_) * padded_width_ + left_;
      const float* from = map + size_t(y) * width_;
      for (int x = 0; x < width_; x++) {
        float value = from[x] / scale;
        value = value >= least ? value : least;
        value = value <= greatest ? value : greatest;
        to[x] = static_cast<uint16_t>(static_cast<int32_t>((value + magic) - magic - least));
      }
    }
  }

  bool resting_;
  int rows_, columns_, channels_, height_, width_, top_, left_, zero_, activations_, padded_height_, padded_width_;
  int taps_, positions_, weight_codes_ = 0;
  std::vector<int> tap_, place_;
  std::vector<Group> groups_;
};

}  // namespace

NB_MODULE(_elements, m) {
  m.attr("INTERFACE") = 1;
  nb::class_<Layer>(m, "Layer")
      .def(nb::init<bool, Pair, std::array<int, 3>, Pair, Pair, Pair, std::array<int, 4>, Pair, Pair>(),
           "weight_stationary"_a, "array"_a, "map"_a, "kernel"_a, "stride"_a, "dilation"_a, "margins"_a, "positions"_a,
           "codes"_a)
      .def("add_group", &Layer::add_group, "outputs"_a, "first_block"_a, "weights"_a)
      .def("run", &Layer::run, "maps"_a, "quantiser"_a, "row"_a, "column"_a, "table"_a, "tables"_a, "used"_a, "out"_a);
}
