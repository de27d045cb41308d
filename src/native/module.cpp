// Python's view of the kernels. Tensors arrive as addresses; the Python side has checked dtype, shape and layout.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "image.h"
#include "level.h"
#include "parallel.h"
#include "table.h"

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
  thread_local Buffer memory;
  Image image;
  if (!make_image(g, address<const float>(x), q, threads, level, memory, image)) return false;
  table_products(g, image, operand, output, threads, level);
  return true;
}

}  // namespace
}  // namespace laxity

NB_MODULE(_native, m) {
  m.doc() = "Sums of products of approximate multipliers, compiled.";
  m.def("levels", &laxity::levels, "Instruction sets that are available here and pass their self-test, best first.");
  m.def("represent", &laxity::represent);
  m.def("pass_gradient", &laxity::pass_gradient);
  m.def("table_layer", &laxity::table_layer);
}
