// Advances a mapped design by clock cycles, 64 images in every machine word. All arrays belong to numpy and are shared
// with the Python side, which has laid them out: see laxity.rtl.silicon.rows and laxity.rtl.silicon.engine.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Word = uint64_t;
template <class T, class Shape>
using Array = nb::ndarray<T, Shape, nb::c_contig, nb::device::cpu>;
using Numbers = Array<const int32_t, nb::ndim<1>>;
using Table = Array<const int32_t, nb::shape<-1, 4>>;
using Lanes = Array<Word, nb::ndim<1>>;
using Planes = Array<Word, nb::ndim<2>>;
using Cube = Array<Word, nb::ndim<3>>;
using Tally = Array<int64_t, nb::ndim<1>>;

// The order is that of laxity.circuits.netlist.CELL_PINS.
enum Cell { INV, BUF, AND2, OR2, NAND2, NAND3, NOR2, NOR3, XOR2, XNOR2, AOI21, AOI22, OAI21, MUX2, HA, FA };

// Without an instruction for it, which portable code may not assume, this is faster than what compilers call.
// Source: H. S. Warren, Hacker's Delight, section 5-1.
int64_t ones(Word word) {
  word -= word >> 1 & 0x5555555555555555ull;
  word = (word & 0x3333333333333333ull) + (word >> 2 & 0x3333333333333333ull);
  word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0full;
  return static_cast<int64_t>(word * 0x0101010101010101ull >> 56);
}

std::vector<int32_t> listed(const Numbers& rows, size_t limit) {
  std::vector<int32_t> found(rows.data(), rows.data() + rows.shape(0));
  for (int32_t row : found)
    if (row < 0 || static_cast<size_t>(row) >= limit) throw std::invalid_argument("a row is out of range");
  return found;
}

struct WritePort {
  std::vector<int32_t> enable, address, data;
  Tally writes;
};

struct Memory {
  std::vector<int32_t> address, data;
  Cube words;
  Planes last;
  Lanes stale;
  Tally reads;
  std::vector<WritePort> ports;
  std::vector<Word> read;  // what comes out at this edge
  bool changes;            // whether anything else comes out than before
};

class Engine {
 public:
  Engine(Table groups, Table pins, Numbers next, int first_flip_flop, Planes nets, Tally toggles, Lanes mask)
      : groups_(groups), pins_(pins), next_(listed(next, nets.shape(0))), first_(first_flip_flop), nets_(nets),
        toggles_(toggles), mask_(mask), width_(nets.shape(1)), taken_(next_.size() * width_) {
    const size_t rows = nets.shape(0);
    if (mask.shape(0) != width_ || toggles.shape(0) != rows || width_ == 0 || first_ < 0 ||
        first_ + next_.size() > rows)
      throw std::invalid_argument("arrays of the simulation do not fit each other");
    for (size_t k = 0; k < 4 * pins.shape(0); ++k)
      if (pins.data()[k] < 0 || static_cast<size_t>(pins.data()[k]) >= rows)
        throw std::invalid_argument("a pin is out of range");
    for (size_t g = 0; g < groups.shape(0); ++g) {
      const int32_t* group = groups.data() + 4 * g;
      const size_t outputs = group[0] >= HA ? 2 : 1;
      if (group[0] < 0 || group[0] > FA || group[1] < 0 || group[2] < 0 || group[3] < 0 ||
          static_cast<size_t>(group[1]) + group[2] > pins.shape(0) || group[3] + outputs * group[2] > rows)
        throw std::invalid_argument("a group of gates is out of range");
    }
  }

  void add_memory(Numbers address, Numbers data, Cube words, Planes last, Lanes stale, Tally reads) {
    const size_t rows = nets_.shape(0);
    if (words.shape(1) != data.shape(0) || words.shape(2) != width_ || last.shape(0) != address.shape(0) ||
        last.shape(1) != width_ || stale.shape(0) != width_ || reads.shape(0) < 1 || address.shape(0) > 30)
      throw std::invalid_argument("arrays of a memory do not fit each other");
    memories_.push_back({listed(address, rows), listed(data, rows), words, last, stale, reads, {}, {}, false});
    memories_.back().read.resize(data.shape(0) * width_);
  }

  void add_write(Numbers enable, Numbers address, Numbers data, Tally writes) {
    if (memories_.empty()) throw std::invalid_argument("a write port needs a memory");
    Memory& memory = memories_.back();
    const size_t rows = nets_.shape(0), bits = memory.data.size();
    if (enable.shape(0) != bits || data.shape(0) != bits || writes.shape(0) < 1 ||
        address.shape(0) != memory.address.size())
      throw std::invalid_argument("a write port does not fit its memory");
    memory.ports.push_back({listed(enable, rows), listed(address, rows), listed(data, rows), writes});
  }

  void settle() {
    if (width_ == 1)
      settle_with<1>();
    else if (width_ == 2)
      settle_with<2>();
    else
      settle_with<0>();
  }

  void clock() {
    for (size_t k = 0; k < next_.size(); ++k)
      for (size_t w = 0; w < width_; ++w) taken_[k * width_ + w] = row(next_[k])[w];
    for (Memory& memory : memories_) access(memory);
    for (size_t k = 0; k < next_.size(); ++k) assign(first_ + k, &taken_[k * width_]);
    for (Memory& memory : memories_)
      if (memory.changes)
        for (size_t k = 0; k < memory.data.size(); ++k) assign(memory.data[k], &memory.read[k * width_]);
  }

 private:
  Word* row(size_t index) { return nets_.data() + index * width_; }

  void assign(size_t index, const Word* words) {
    Word* net = row(index);
    for (size_t w = 0; w < width_; ++w) {
      if (const Word changed = (net[w] ^ words[w]) & mask_.data()[w]) toggles_.data()[index] += ones(changed);
      net[w] = words[w];
    }
  }

  template <int W>
  void settle_with() {
    for (size_t g = 0; g < groups_.shape(0); ++g) {
      const int32_t* group = groups_.data() + 4 * g;
      const int32_t* pins = pins_.data() + 4 * static_cast<size_t>(group[1]);
      const int32_t count = group[2], out = group[3];
      switch (group[0]) {
        case INV: one<W>(pins, count, out, [](const Word* v) { return ~v[0]; }); break;
        case BUF: one<W>(pins, count, out, [](const Word* v) { return v[0]; }); break;
        case AND2: one<W>(pins, count, out, [](const Word* v) { return v[0] & v[1]; }); break;
        case OR2: one<W>(pins, count, out, [](const Word* v) { return v[0] | v[1]; }); break;
        case NAND2: one<W>(pins, count, out, [](const Word* v) { return ~(v[0] & v[1]); }); break;
        case NAND3: one<W>(pins, count, out, [](const Word* v) { return ~(v[0] & v[1] & v[2]); }); break;
        case NOR2: one<W>(pins, count, out, [](const Word* v) { return ~(v[0] | v[1]); }); break;
        case NOR3: one<W>(pins, count, out, [](const Word* v) { return ~(v[0] | v[1] | v[2]); }); break;
        case XOR2: one<W>(pins, count, out, [](const Word* v) { return v[0] ^ v[1]; }); break;
        case XNOR2: one<W>(pins, count, out, [](const Word* v) { return ~(v[0] ^ v[1]); }); break;
        case AOI21: one<W>(pins, count, out, [](const Word* v) { return ~((v[0] & v[1]) | v[2]); }); break;
        case AOI22: one<W>(pins, count, out, [](const Word* v) { return ~((v[0] & v[1]) | (v[2] & v[3])); }); break;
        case OAI21: one<W>(pins, count, out, [](const Word* v) { return ~((v[0] | v[1]) & v[2]); }); break;
        case MUX2: one<W>(pins, count, out, [](const Word* v) { return ~(v[1] ^ (v[0] & (v[1] ^ v[2]))); }); break;
        case HA:
          one<W>(pins, count, out, [](const Word* v) { return v[0] ^ v[1]; });
          one<W>(pins, count, out + count, [](const Word* v) { return v[0] & v[1]; });
          break;
        case FA:
          one<W>(pins, count, out, [](const Word* v) { return v[0] ^ v[1] ^ v[2]; });
          one<W>(pins, count, out + count,
                 [](const Word* v) { return (v[0] & v[1]) | (v[2] & (v[0] ^ v[1])); });
          break;
      }
    }
  }

  // All gates of a group, one output pin. Pins that a cell does not have lead to row 0.
  template <int W, class Function>
  void one(const int32_t* pins, int32_t count, int32_t out, Function function) {
    const size_t width = W ? W : width_;
    const Word* mask = mask_.data();
    for (int32_t k = 0; k < count; ++k, pins += 4) {
      const Word* sources[4] = {row(pins[0]), row(pins[1]), row(pins[2]), row(pins[3])};
      Word* net = row(static_cast<size_t>(out) + k);
      for (size_t w = 0; w < width; ++w) {
        const Word values[4] = {sources[0][w], sources[1][w], sources[2][w], sources[3][w]};
        const Word made = function(values);
        if (const Word changed = (net[w] ^ made) & mask[w])
          toggles_.data()[static_cast<size_t>(out) + k] += ones(changed);
        net[w] = made;
      }
    }
  }

  // Images by address, for addresses that lie in a memory of so many words.
  void places(const std::vector<int32_t>& address, size_t words, std::map<size_t, std::vector<Word>>& found) {
    size_t place = 0;
    bool same = true;
    for (size_t bit = 0; bit < address.size() && same; ++bit) {
      const Word* plane = row(address[bit]);
      for (size_t w = 0; w < width_; ++w) same = same && plane[w] == plane[0] && (plane[0] == 0 || ~plane[0] == 0);
      place |= static_cast<size_t>(plane[0] & 1) << bit;
    }
    if (same) {
      if (place < words) found.emplace(place, std::vector<Word>(width_, ~Word(0)));
      return;
    }
    for (size_t image = 0; image < 64 * width_; ++image) {
      place = 0;
      for (size_t bit = 0; bit < address.size(); ++bit)
        place |= static_cast<size_t>(row(address[bit])[image / 64] >> (image % 64) & 1) << bit;
      if (place >= words) continue;
      std::vector<Word>& images = found.emplace(place, std::vector<Word>(width_, 0)).first->second;
      images[image / 64] |= Word(1) << (image % 64);
    }
  }

  void access(Memory& memory) {
    const size_t bits = memory.data.size(), depth = memory.words.shape(0);
    int64_t asked = 0;
    memory.changes = false;
    for (size_t w = 0; w < width_; ++w) {
      Word again = memory.stale.data()[w];
      for (size_t bit = 0; bit < memory.address.size(); ++bit) {
        Word& last = memory.last.data()[bit * width_ + w];
        again |= last ^ row(memory.address[bit])[w];
        last = row(memory.address[bit])[w];
      }
      memory.changes = memory.changes || again;
      asked += ones(again & mask_.data()[w]);
      memory.stale.data()[w] = 0;
    }
    memory.reads.data()[0] += asked;
    if (memory.changes) {
      std::fill(memory.read.begin(), memory.read.end(), Word(0));
      std::map<size_t, std::vector<Word>> found;
      places(memory.address, depth, found);
      for (const auto& [place, images] : found) {
        const Word* words = memory.words.data() + place * bits * width_;
        for (size_t k = 0; k < bits; ++k)
          for (size_t w = 0; w < width_; ++w) memory.read[k * width_ + w] |= words[k * width_ + w] & images[w];
      }
    }
    for (const WritePort& port : memory.ports) write(memory, port);
  }

  void write(Memory& memory, const WritePort& port) {
    const size_t bits = memory.data.size();
    Word any = 0;
    for (size_t w = 0; w < width_; ++w) {
      Word written = 0, apart = 0;
      for (int32_t enable : port.enable) written |= row(enable)[w];
      for (size_t bit = 0; bit < port.address.size(); ++bit)
        apart |= row(port.address[bit])[w] ^ row(memory.address[bit])[w];
      memory.stale.data()[w] |= written & ~apart;
      port.writes.data()[0] += ones(written & mask_.data()[w]);
      any |= written;
    }
    if (!any) return;
    std::map<size_t, std::vector<Word>> found;
    places(port.address, memory.words.shape(0), found);
    for (const auto& [place, images] : found) {
      Word* words = memory.words.data() + place * bits * width_;
      for (size_t k = 0; k < bits; ++k)
        for (size_t w = 0; w < width_; ++w) {
          const Word chosen = row(port.enable[k])[w] & images[w];
          Word& word = words[k * width_ + w];
          word = (word & ~chosen) | (row(port.data[k])[w] & chosen);
        }
    }
  }

  Table groups_, pins_;
  std::vector<int32_t> next_;
  int first_;
  Planes nets_;
  Tally toggles_;
  Lanes mask_;
  size_t width_;
  std::vector<Word> taken_;
  std::vector<Memory> memories_;
};

}  // namespace

NB_MODULE(_cycles, m) {
  m.attr("INTERFACE") = 1;
  nb::class_<Engine>(m, "Engine")
      .def(nb::init<Table, Table, Numbers, int, Planes, Tally, Lanes>(), "groups"_a, "pins"_a, "next"_a,
           "first_flip_flop"_a, "nets"_a, "toggles"_a, "mask"_a)
      .def("add_memory", &Engine::add_memory, "address"_a, "data"_a, "words"_a, "last"_a, "stale"_a, "reads"_a)
      .def("add_write", &Engine::add_write, "enable"_a, "address"_a, "data"_a, "writes"_a)
      .def("settle", &Engine::settle)
      .def("clock", &Engine::clock);
}
