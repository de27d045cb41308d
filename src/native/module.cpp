// Python's view of the kernels. Tensors arrive as addresses; the Python side has checked dtype, shape and layout.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "image.h"
#include "level.h"
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

Quantiser quantiser(const std::vector<double>& numbers, uintptr_t map) {
  if (numbers.size() != 4) throw std::invalid_argument("a quantiser has scale, zero, low and high");
  return {static_cast<float>(numbers[0]), static_cast<float>(numbers[1]), static_cast<float>(numbers[2]),
          static_cast<float>(numbers[3]), address<const uint8_t>(map)};
}

// Returns false where an input element is not finite; outputs are undefined then.
bool table_layer(const std::string& level_name, int threads, const std::vector<int64_t>& numbers, uintptr_t x,
                 const std::vector<double>& code, uintptr_t map, uintptr_t codes, uintptr_t table, int64_t rows,
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
  m.def("table_layer", &laxity::table_layer);
}
