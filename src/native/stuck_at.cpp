// The module of laxity.circuits.stuck_at: checks arrays, holds the workspace, chooses the instruction set.
#include "stuck_at.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

namespace laxity::stuck_at {
namespace {

template <class T, class Shape>
using Array = nb::ndarray<T, Shape, nb::c_contig, nb::device::cpu>;
using Numbers = Array<const int32_t, nb::ndim<1>>;
using Pins = Array<const int32_t, nb::shape<-1, 4>>;
using Drives = Array<const int32_t, nb::shape<-1, 2>>;
using Blocks = Array<const Word, nb::shape<-1, -1, kBlock>>;
using Lanes = Array<const Word, nb::ndim<1>>;
using Keys = Array<const Word, nb::shape<kKeys, -1, -1>>;
using Codes = nb::ndarray<nb::shape<-1, 64>, nb::c_contig, nb::device::cpu, nb::ro>;
using Starts = Array<const int64_t, nb::ndim<1>>;
using Counts = Array<int64_t, nb::shape<-1, kCounts>>;
using Bits = Array<Word, nb::ndim<1>>;
using Signatures = Array<Word, nb::shape<-1, kKeys>>;
using Planes = Array<Word, nb::ndim<2>>;

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

void in_range(const int32_t* numbers, size_t count, int64_t low, size_t high, const char* what) {
  for (size_t k = 0; k < count; ++k) require(numbers[k] >= low && int64_t(numbers[k]) < int64_t(high), what);
}

bool has_avx2() {
#if defined(LAXITY_AVX2)
  return __builtin_cpu_supports("avx2");
#else
  return false;
#endif
}

bool has_avx512() {
#if defined(LAXITY_AVX512)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

Run chosen(const std::string& isa) {
#if defined(LAXITY_AVX512)
  if ((isa.empty() || isa == "avx512") && has_avx512()) return run_avx512;
#endif
#if defined(LAXITY_AVX2)
  if ((isa.empty() || isa == "avx2") && has_avx2()) return run_avx2;
#endif
  if (isa.empty() || isa == "portable") return run_portable;
  throw std::invalid_argument("instruction set '" + isa + "' is unknown or not available here");
}

class Engine {
 public:
  Engine(Numbers cells, Pins pins, Drives drives, Numbers outputs, Blocks golden, Lanes mask, Keys keys, Codes codes,
         Codes exact, bool is_signed, const std::string& isa)
      : cells_(cells), pins_(pins), drives_(drives), outputs_(outputs), golden_(golden), mask_(mask), keys_(keys),
        codes_(codes), exact_(exact), run_(chosen(isa)) {
    const size_t gates = cells.shape(0), nets = golden.shape(1), bits = outputs.shape(0);
    const size_t words = golden.shape(0) * kBlock;
    const bool wide = codes.dtype() == nb::dtype<int64_t>();
    require(pins.shape(0) == gates && drives.shape(0) == gates, "gates do not fit each other");
    require(nets >= 2 && bits >= 1 && bits <= 63, "a circuit has constants and 1 to 63 output bits");
    require(mask.shape(0) == words && keys.shape(1) == bits && keys.shape(2) == words, "words do not fit each other");
    require(codes.shape(0) == words && exact.shape(0) == words && codes.dtype() == exact.dtype() &&
                (wide || codes.dtype() == nb::dtype<int32_t>()),
            "results do not fit the words");
    in_range(cells.data(), gates, 0, 16, "a cell is out of range");
    in_range(pins.data(), 4 * gates, 0, nets, "a pin is out of range");
    in_range(drives.data(), 2 * gates, -1, nets, "a driven net is out of range");
    in_range(outputs.data(), bits, 0, nets, "an output is out of range");
    for (size_t gate = 0; gate < gates; ++gate)
      require(drives.data()[2 * gate] >= 0 && (cells.data()[gate] < 14 || drives.data()[2 * gate + 1] >= 0),
              "a gate lacks an output");
    program_ = {gates, nets, bits, words, cells.data(), pins.data(), drives.data(), outputs.data(), golden.data(),
                mask.data(), keys.data(), codes.data(), exact.data(), wide, is_signed};
  }

  void run(Pins lines, Starts starts, Numbers cones, Counts counts, Bits changed, Signatures signatures) {
    const size_t faults = lines.shape(0);
    require(counts.shape(0) == faults && changed.shape(0) == faults && signatures.shape(0) == faults,
            "results do not fit the faults");
    simulate(lines, starts, cones, {counts.data(), changed.data(), signatures.data(), nullptr});
  }

  void planes(Pins lines, Starts starts, Numbers cones, Planes planes) {
    require(lines.shape(0) == 1, "differences are those of one fault");
    require(planes.shape(0) == program_.bits && planes.shape(1) == program_.words, "planes do not fit the outputs");
    int64_t counts[kCounts] = {};
    Word changed = 0, signature[kKeys] = {};
    simulate(lines, starts, cones, {counts, &changed, signature, planes.data()});
  }

 private:
  void simulate(const Pins& lines, const Starts& starts, const Numbers& cones, const Results& results) {
    const size_t faults = lines.shape(0);
    require(starts.shape(0) == faults + 1, "cones do not fit the faults");
    in_range(cones.data(), cones.shape(0), 0, program_.gates, "a gate of a cone is out of range");
    for (size_t k = 0; k < faults; ++k) {
      const int32_t* line = lines.data() + 4 * k;
      const int64_t from = starts.data()[k], to = starts.data()[k + 1];
      require(from >= 0 && from <= to && to <= int64_t(cones.shape(0)), "a cone is out of range");
      require(line[0] >= 0 && size_t(line[0]) < program_.nets && (line[1] == 0 || line[1] == 1) && line[2] >= -2 &&
                  line[2] < int64_t(program_.gates) && line[3] >= 0 && line[3] < (line[2] == -2 ? 63 : 4),
              "a fault is out of range");
    }
    std::vector<Word> faulty(program_.nets * kBlock);
    std::vector<int64_t> stamp(program_.nets), base(4 * program_.words);
    const nb::gil_scoped_release released;
    run_(program_, {faults, lines.data(), starts.data(), cones.data()}, results,
         {faulty.data(), stamp.data(), base.data()});
  }

  Numbers cells_;
  Pins pins_;
  Drives drives_;
  Numbers outputs_;
  Blocks golden_;
  Lanes mask_;
  Keys keys_;
  Codes codes_, exact_;
  Run run_;
  Program program_{};
};

}  // namespace
}  // namespace laxity::stuck_at

NB_MODULE(_stuck_at, m) {
  using laxity::stuck_at::Engine;
  m.attr("INTERFACE") = 1;
  m.attr("BLOCK") = laxity::stuck_at::kBlock;
  m.def("instruction_sets", [] {
    nb::list names;
    if (laxity::stuck_at::has_avx512()) names.append("avx512");
    if (laxity::stuck_at::has_avx2()) names.append("avx2");
    names.append("portable");
    return names;
  });
  nb::class_<Engine>(m, "Engine")
      .def(nb::init<laxity::stuck_at::Numbers, laxity::stuck_at::Pins, laxity::stuck_at::Drives,
                    laxity::stuck_at::Numbers, laxity::stuck_at::Blocks, laxity::stuck_at::Lanes,
                    laxity::stuck_at::Keys, laxity::stuck_at::Codes, laxity::stuck_at::Codes, bool, std::string>(),
           "cells"_a, "pins"_a, "drives"_a, "outputs"_a, "golden"_a, "mask"_a, "keys"_a, "codes"_a, "exact"_a,
           "is_signed"_a, "isa"_a)
      .def("run", &Engine::run, "lines"_a, "starts"_a, "cones"_a, "counts"_a, "changed"_a, "signatures"_a)
      .def("planes", &Engine::planes, "lines"_a, "starts"_a, "cones"_a, "planes"_a);
}
