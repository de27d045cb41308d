// Python's view of the kernels. Tensors arrive as addresses; the Python side has checked dtype, shape and layout.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "batch.h"
#include "image.h"
#include "level.h"
#include "lowrank.h"
#include "parallel.h"
#include "stationary.h"
#include "sequential.h"
#include "table.h"
#include "weights.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace laxity {
namespace {

template <class T>
T* address(uintptr_t value) {
  return reinterpret_cast<T*>(value);
}

std::vector<std::string> levels() {
  std::vector<std::string> found;
  for (const char* name : {"avx512", "avx2", "portable"}) {
    try {
      found.emplace_back(level_named(name).name);
    } catch (const std::invalid_argument&) {
      continue;
    }
  }
  return found;
}

// A quantiser lies in memory as scale, zero, low, high.
Quantiser quantiser(uintptr_t numbers, uintptr_t map) {
  const float* q = address<const float>(numbers);
  return {q[0], q[1], q[2], q[3], address<const uint8_t>(map)};
}

// A number that changes with the contents and the places of some stretches of memory.
uint64_t fingerprint(const std::string& level_name, const std::vector<uintptr_t>& starts,
                     const std::vector<int64_t>& sizes) {
  if (starts.size() != sizes.size()) throw std::invalid_argument("every stretch of memory has a start and a size");
  const Level& level = level_named(level_name.c_str());
  uint64_t total = 0;
  for (size_t i = 0; i < starts.size(); ++i)
    total = (total ^ starts[i] ^ level.fingerprint(address<const uint8_t>(starts[i]), sizes[i])) * 0x9e3779b97f4a7c15ull;
  return total;
}

constexpr int64_t kPiece = 1 << 14;  // elements of one task of an elementwise loop

void represent(const std::string& level_name, int threads, uintptr_t x, int64_t n, uintptr_t code, uintptr_t out) {
  const Level& level = level_named(level_name.c_str());
  const Quantiser q = quantiser(code, 0);
  const nb::gil_scoped_release release;
  parallel_for(threads, (n + kPiece - 1) / kPiece, [&](int, int64_t piece) {
    const int64_t from = piece * kPiece;
    level.represent(address<const float>(x) + from, std::min(kPiece, n - from), q, address<float>(out) + from);
  });
}

void pass_gradient(const std::string& level_name, int threads, uintptr_t gradient, uintptr_t x, int64_t n,
                   uintptr_t code, uintptr_t out) {
  const Level& level = level_named(level_name.c_str());
  const Quantiser q = quantiser(code, 0);
  const nb::gil_scoped_release release;
  parallel_for(threads, (n + kPiece - 1) / kPiece, [&](int, int64_t piece) {
    const int64_t from = piece * kPiece;
    level.pass_gradient(address<const float>(gradient) + from, address<const float>(x) + from,
                        std::min(kPiece, n - from), q, address<float>(out) + from);
  });
}

// Shape: rows, weights of a row, whether they share one scale; and the greatest code.
WeightShape weight_shape(const std::vector<int64_t>& shape, float top) {
  if (shape.size() != 3 || shape[0] < 0 || shape[1] < 0 || top < 1)
    throw std::invalid_argument("the shape of weights, or their greatest code, is wrong");
  return {shape[0], shape[1], top, shape[2] != 0};
}

// Returns false where a weight is not finite; outputs are undefined then.
bool code(const std::string& level_name, int threads, const std::vector<int64_t>& shape, float top, uintptr_t weight,
          uintptr_t ratio, uintptr_t codes, uintptr_t scale) {
  const Level& level = level_named(level_name.c_str());
  const WeightShape weights = weight_shape(shape, top);
  if (top > 127) throw std::invalid_argument("codes of weights do not fit bytes");
  const nb::gil_scoped_release release;
  return code_weights(weights, address<const float>(weight), address<const float>(ratio), threads, level,
                      address<uint8_t>(codes), address<float>(scale));
}

void represent_coded(const std::string& level_name, int threads, const std::vector<int64_t>& shape, float top,
                     uintptr_t weight, uintptr_t scale, uintptr_t out) {
  const Level& level = level_named(level_name.c_str());
  const WeightShape weights = weight_shape(shape, top);
  const nb::gil_scoped_release release;
  represent_weights(weights, address<const float>(weight), address<const float>(scale), threads, level,
                    address<float>(out));
}

void pass_coded_gradient(const std::string& level_name, int threads, const std::vector<int64_t>& shape, float top,
                         uintptr_t gradient, uintptr_t weight, uintptr_t scale, uintptr_t out) {
  const Level& level = level_named(level_name.c_str());
  const WeightShape weights = weight_shape(shape, top);
  const nb::gil_scoped_release release;
  pass_weight_gradient(weights, address<const float>(gradient), address<const float>(weight),
                       address<const float>(scale), threads, level, address<float>(out));
}

void row_sums(int threads, uintptr_t codes, int64_t rows, int64_t n, uintptr_t values, uintptr_t out) {
  const nb::gil_scoped_release release;
  sum_rows(address<const uint8_t>(codes), rows, n, address<const int64_t>(values), threads, address<int64_t>(out));
}

// Returns false where an input element is not finite; outputs are undefined then.
bool table_layer(const std::string& level_name, int threads, const std::vector<int64_t>& numbers, uintptr_t x,
                 uintptr_t code, uintptr_t map, uintptr_t codes, uintptr_t table, int64_t rows,
                 int entries, int planes, int bits, int64_t zero_row, bool wide, uintptr_t constants, uintptr_t scale,
                 uintptr_t gain, uintptr_t bias, uintptr_t scaled, uintptr_t sums) {
  const Geometry g = read_geometry(numbers);
  if (entries < 0 || entries >= static_cast<int>(Entries::kCount) || planes < 1 || bits < 6 || bits > 8)
    throw std::invalid_argument("a table has an unknown layout");
  const Level& level = level_named(level_name.c_str());
  const Quantiser q = quantiser(code, map);
  const TableOperand operand{address<const uint8_t>(codes), address<const uint8_t>(table), rows,
                             static_cast<Entries>(entries), planes, bits, zero_row,
                             address<const int64_t>(constants), wide};
  const Output output{address<float>(scaled), address<int64_t>(sums), address<const float>(scale),
                      address<const float>(gain), address<const float>(bias)};
  const nb::gil_scoped_release release;
  return table_products(g, address<const float>(x), q, operand, output, threads, level);
}

// Returns false where an input element is not finite; outputs are undefined then.
bool stationary_layer(const std::string& level_name, int threads, const std::vector<int64_t>& numbers, uintptr_t x,
                      uintptr_t code, uintptr_t map, uintptr_t codes, uintptr_t table, int64_t rows, int entries,
                      int planes, int bits, int64_t skip, uintptr_t offsets, bool wide, uintptr_t constants,
                      uintptr_t scale, uintptr_t gain, uintptr_t bias, uintptr_t scaled, uintptr_t sums) {
  const Geometry g = read_geometry(numbers);
  const bool known = entries == static_cast<int>(Entries::k64) || entries == static_cast<int>(Entries::k128) ||
                     entries == static_cast<int>(Entries::k256);
  if (!known || planes < 1 || bits < 6 || bits > 8 || rows < 1 || rows > 256 || skip < -1 || skip > 255)
    throw std::invalid_argument("a table has an unknown layout");
  if (g.reduction() * stationary_pitch(g) >= int64_t{1} << 32)
    throw std::invalid_argument("a layer has more weights than offsets of 32 bits reach");
  const Level& level = level_named(level_name.c_str());
  const Quantiser q = quantiser(code, map);
  const StationaryOperand operand{address<const uint8_t>(codes), address<const uint8_t>(table), rows,
                                  static_cast<Entries>(entries), planes, bits, static_cast<int>(skip),
                                  address<const int64_t>(offsets), address<const int64_t>(constants), wide};
  const Output output{address<float>(scaled), address<int64_t>(sums), address<const float>(scale),
                      address<const float>(gain), address<const float>(bias)};
  const nb::gil_scoped_release release;
  thread_local Buffer memory;
  LastImage image;
  if (!make_last_image(g, address<const float>(x), q, threads, level, memory, image)) return false;
  stationary_products(g, image, operand, output, threads, level);
  return true;
}

LowrankShape lowrank_shape(int64_t outputs, int64_t inputs_per_group, int64_t taps, int64_t groups,
                           const std::vector<int64_t>& terms) {
  if (outputs < 0 || inputs_per_group < 0 || taps < 1 || groups < 1 || outputs % groups != 0)
    throw std::invalid_argument("outputs, inputs, taps or groups of a layer's weights are wrong");
  for (const int64_t count : terms)
    if (count < 0) throw std::invalid_argument("a bundle has fewer than no terms");
  return {outputs, inputs_per_group, taps, groups, terms};
}

int64_t lowrank_size(int64_t outputs, int64_t inputs_per_group, int64_t taps, int64_t groups,
                     const std::vector<int64_t>& terms) {
  return lowrank_shape(outputs, inputs_per_group, taps, groups, terms).packed_size();
}

void lowrank_pack(uintptr_t rows, uintptr_t maps, int64_t codes, int64_t outputs, int64_t inputs_per_group,
                  int64_t taps, int64_t groups, const std::vector<int64_t>& terms, uintptr_t packed) {
  const LowrankShape shape = lowrank_shape(outputs, inputs_per_group, taps, groups, terms);
  const nb::gil_scoped_release release;
  pack_lowrank(shape, address<const uint8_t>(rows), address<const int8_t>(maps), codes, address<int8_t>(packed));
}

// Returns false where an input element that some output reads is not finite; outputs are undefined then.
bool lowrank_layer(const std::string& level_name, int threads, const std::vector<int64_t>& numbers, uintptr_t x,
                   uintptr_t code, uintptr_t maps, const std::vector<int64_t>& terms,
                   const std::vector<int64_t>& factors, uintptr_t weights, bool wide, uintptr_t constants,
                   uintptr_t scale, uintptr_t gain, uintptr_t bias, uintptr_t scaled, uintptr_t sums) {
  const Geometry g = read_geometry(numbers);
  if (terms.size() != factors.size() || terms.empty())
    throw std::invalid_argument("every bundle of terms has one factor, and there is at least one bundle");
  const Level& level = level_named(level_name.c_str());
  const Quantiser q = quantiser(code, 0);
  LowrankOperand operand{address<const uint8_t>(maps), address<const int8_t>(weights), {},
                         address<const int64_t>(constants), wide};
  for (size_t j = 0; j < terms.size(); ++j) operand.bundles.push_back({factors[j], terms[j]});
  const Output output{address<float>(scaled), address<int64_t>(sums), address<const float>(scale),
                      address<const float>(gain), address<const float>(bias)};
  const nb::gil_scoped_release release;
  return lowrank_products(g, address<const float>(x), q, operand, output, threads, level);
}

// Numbers: count, m, k, n, then strides of the left and of the right factor by batch, row and column.
// Addresses: left factor, its code and map, right factor, its code, constant, scale, out.
Batch read_batch(const std::vector<int64_t>& numbers, const std::vector<uintptr_t>& at) {
  if (numbers.size() != 10 || at.size() != 8) throw std::invalid_argument("a batch has 10 numbers and 8 addresses");
  for (int i = 0; i < 4; ++i)
    if (numbers[i] < 0) throw std::invalid_argument("sizes of matrices are wrong");
  Batch b{};
  b.count = numbers[0];
  b.m = numbers[1];
  b.k = numbers[2];
  b.n = numbers[3];
  std::copy_n(numbers.begin() + 4, 3, b.left);
  std::copy_n(numbers.begin() + 7, 3, b.right);
  b.x = address<const float>(at[0]);
  b.left_code = quantiser(at[1], at[2]);
  b.y = address<const float>(at[3]);
  b.right_code = quantiser(at[4], 0);
  b.constant = address<const int64_t>(at[5]);
  b.scale = *address<const float>(at[6]);
  b.out = address<float>(at[7]);
  return b;
}

// Returns false where a factor is not finite; outputs are undefined then.
bool table_matrices(const std::string& level_name, int threads, const std::vector<int64_t>& numbers,
                    const std::vector<uintptr_t>& addresses, uintptr_t table, int64_t rows, int entries, int planes,
                    int bits, int64_t zero_row) {
  const Batch batch = read_batch(numbers, addresses);
  if (entries < 0 || entries >= static_cast<int>(Entries::kCount) || planes < 1 || planes > 2 || bits < 6 || bits > 8)
    throw std::invalid_argument("a table has an unknown layout");
  const TableOperand operand{nullptr, address<const uint8_t>(table), rows,    static_cast<Entries>(entries), planes,
                             bits,    zero_row,                      nullptr, false};
  const Level& level = level_named(level_name.c_str());
  const nb::gil_scoped_release release;
  return table_batch(batch, operand, threads, level);
}

bool lowrank_matrices(const std::string& level_name, int threads, const std::vector<int64_t>& numbers,
                      const std::vector<uintptr_t>& addresses, uintptr_t maps, const std::vector<int64_t>& terms,
                      const std::vector<int64_t>& factors, uintptr_t weights, int64_t codes) {
  const Batch batch = read_batch(numbers, addresses);
  if (terms.size() != factors.size() || terms.empty())
    throw std::invalid_argument("every bundle of terms has one factor, and there is at least one bundle");
  LowrankOperand operand{address<const uint8_t>(maps), nullptr, {}, nullptr, false};
  for (size_t j = 0; j < terms.size(); ++j) operand.bundles.push_back({factors[j], terms[j]});
  const Level& level = level_named(level_name.c_str());
  const nb::gil_scoped_release release;
  return lowrank_batch(batch, operand, address<const int8_t>(weights), codes, threads, level);
}

// Sizes: gates, bits, planes, registers, weight codes, activation codes, rows, reduction, outputs, chain.
// Addresses: gates, table, rows, weight, sums.
void sequential(int threads, const std::vector<int64_t>& sizes, const std::vector<uintptr_t>& addresses) {
  if (sizes.size() != 10 || addresses.size() != 5)
    throw std::invalid_argument("sequential products take 10 sizes and 5 addresses");
  const SequentialProgram program{address<const int32_t>(addresses[0]), sizes[0], static_cast<int32_t>(sizes[1]),
                                  static_cast<int32_t>(sizes[2]), static_cast<int32_t>(sizes[3])};
  const SequentialOperands operands{address<const int64_t>(addresses[1]), sizes[4], sizes[5],
                                    address<const uint16_t>(addresses[2]), address<const uint16_t>(addresses[3]),
                                    sizes[6], sizes[8], sizes[7], sizes[9]};
  const nb::gil_scoped_release release;
  sequential_products(program, operands, address<int64_t>(addresses[4]), threads);
}

}  // namespace
}  // namespace laxity

NB_MODULE(_native, m) {
  m.doc() = "Sums of products of approximate multipliers, compiled.";
  m.attr("INTERFACE") = 2;
  m.def("levels", &laxity::levels, "Instruction sets that are available here and pass their self-test, best first.");
  m.def("fingerprint", &laxity::fingerprint);
  m.def("represent", &laxity::represent);
  m.def("pass_gradient", &laxity::pass_gradient);
  m.def("code_weights", &laxity::code);
  m.def("represent_weights", &laxity::represent_coded);
  m.def("pass_weight_gradient", &laxity::pass_coded_gradient);
  m.def("row_sums", &laxity::row_sums);
  m.def("table_layer", &laxity::table_layer);
  m.def("stationary_layer", &laxity::stationary_layer);
  m.def("lowrank_size", &laxity::lowrank_size);
  m.def("lowrank_pack", &laxity::lowrank_pack);
  m.def("table_matrices", &laxity::table_matrices);
  m.def("lowrank_matrices", &laxity::lowrank_matrices);
  m.def("lowrank_layer", &laxity::lowrank_layer);
  m.def("sequential_cells", &laxity::sequential_cells, "Names of the cells of sequential products, by number.");
  m.def("sequential_products", &laxity::sequential);
}
