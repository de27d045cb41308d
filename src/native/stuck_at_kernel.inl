// The simulation itself; included with LAXITY_STUCK_AT_RUN defined as the name of the function to make.
#include "stuck_at.h"

namespace laxity::stuck_at {
namespace {

// The order is that of laxity.circuits.netlist.CELL_PINS.
enum Cell { INV, BUF, AND2, OR2, NAND2, NAND3, NOR2, NOR3, XOR2, XNOR2, AOI21, AOI22, OAI21, MUX2, HA, FA };

// Source: H. S. Warren, Hacker's Delight, section 5-1.
int64_t ones(Word word) {
  word -= word >> 1 & 0x5555555555555555ull;
  word = (word & 0x3333333333333333ull) + (word >> 2 & 0x3333333333333333ull);
  word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0full;
  return static_cast<int64_t>(word * 0x0101010101010101ull >> 56);
}

// One output of a gate over a block; whether it differs from what it is without fault.
template <class Function>
bool make(const Word* const* in, Word* out, const Word* golden, Function function) {
  const Word *a = in[0], *b = in[1], *c = in[2], *d = in[3];
  Word differs = 0;
  for (size_t w = 0; w < kBlock; ++w) {
    const Word made = function(a[w], b[w], c[w], d[w]);
    out[w] = made;
    differs |= made ^ golden[w];
  }
  return differs != 0;
}

// The bits of eight words, eight by eight, transposed: byte i of word j gets bit 8 i + j of each word.
// Source: H. S. Warren, Hacker's Delight, section 7-3.
template <int Distance>
void exchange(Word* m, Word kept) {
  for (int low = 0; low < 8; ++low) {
    if (low & Distance) continue;
    const Word swapped = ((m[low] >> Distance) ^ m[low | Distance]) & kept;
    m[low] ^= swapped << Distance;
    m[low | Distance] ^= swapped;
  }
}

struct Tally {
  int64_t shown = 0, fault_distance = 0, fault_worst = 0, fault_error = 0;
  int64_t wrong = 0, distance = 0, worst = 0, error = 0;
};

struct Block {
  const Word* golden;
  size_t first;  // word
  int64_t stamp;
};

template <class Value>
class Simulation {
 public:
  Simulation(const Program& program, const Faults& faults, const Results& results, const Workspace& work)
      : p_(program), f_(faults), r_(results), w_(work), codes_(static_cast<const Value*>(program.codes)),
        exact_(static_cast<const Value*>(program.exact)),
        sign_(program.is_signed ? Value(1) << (program.bits - 1) : Value(0)) {}

  void run() {
    count_without_fault();
    Block block{p_.golden, 0, 0};
    for (; block.first < p_.words; block.first += kBlock, block.golden += p_.nets * kBlock)
      for (size_t fault = 0; fault < f_.count; ++fault) {
        ++block.stamp;
        simulate(block, fault);
      }
  }

 private:
  Value value(Value code) const { return (code ^ sign_) - sign_; }

  void count_without_fault() {
    is_exact_ = true;
    for (size_t w = 0; w < p_.words; ++w) {
      int64_t* base = w_.base + 4 * w;
      base[0] = base[1] = base[2] = base[3] = 0;
      for (size_t l = 64 * w; l < 64 * (w + 1); ++l) {
        const int64_t e = int64_t(value(codes_[l])) - exact_[l], size = e < 0 ? -e : e;
        base[0] += e != 0;
        base[1] += size;
        base[2] = size > base[2] ? size : base[2];
        base[3] += e;
      }
      is_exact_ = is_exact_ && !base[0];
    }
  }

  const Word* words(const Block& block, int32_t net) const {
    return w_.stamp[net] == block.stamp ? w_.faulty + size_t(net) * kBlock : block.golden + size_t(net) * kBlock;
  }

  void simulate(const Block& block, size_t fault) {
    const int32_t* line = f_.lines + 4 * fault;
    const Word* constant = block.golden + (line[1] ? kBlock : 0);  // nets 0 and 1 are the constants
    if (line[2] == -1) {
      Word* stuck = w_.faulty + size_t(line[0]) * kBlock;
      const Word* golden = block.golden + size_t(line[0]) * kBlock;
      Word differs = 0;
      for (size_t w = 0; w < kBlock; ++w) {
        stuck[w] = constant[w];
        differs |= constant[w] ^ golden[w];
      }
      if (differs) w_.stamp[line[0]] = block.stamp;
      if (differs) spread(block, fault, -1);
    } else if (line[2] >= 0) {
      spread(block, fault, line[2]);
    }
    count(block, fault);
  }

  // Gates of the cone in order; those of which no input differs are as they were.
  void spread(const Block& block, size_t fault, int32_t faulty_gate) {
    const int32_t* line = f_.lines + 4 * fault;
    for (int64_t k = f_.starts[fault]; k < f_.starts[fault + 1]; ++k) {
      const int32_t gate = f_.cones[k];
      const int32_t* pins = p_.pins + 4 * size_t(gate);
      const bool here = gate == faulty_gate;
      if (!here && w_.stamp[pins[0]] != block.stamp && w_.stamp[pins[1]] != block.stamp &&
          w_.stamp[pins[2]] != block.stamp && w_.stamp[pins[3]] != block.stamp)
        continue;
      const Word* in[4] = {words(block, pins[0]), words(block, pins[1]), words(block, pins[2]), words(block, pins[3])};
      if (here) in[line[3]] = block.golden + (line[1] ? kBlock : 0);
      evaluate(block, p_.cells[gate], in, p_.drives + 2 * size_t(gate));
    }
  }

  template <class Function>
  void drive(const Block& block, const Word* const* in, int32_t net, Function function) {
    if (make(in, w_.faulty + size_t(net) * kBlock, block.golden + size_t(net) * kBlock, function))
      w_.stamp[net] = block.stamp;
  }

  void evaluate(const Block& block, int32_t cell, const Word* const* in, const int32_t* out) {
#define LAXITY_GATE(name, expression)                                                                   \
  case name:                                                                                            \
    drive(block, in, out[0], [](Word a, Word b, Word c, Word d) { return (void)b, (void)c, (void)d, expression; }); \
    break;
    switch (cell) {
      LAXITY_GATE(INV, ~a)
      LAXITY_GATE(BUF, a)
      LAXITY_GATE(AND2, a & b)
      LAXITY_GATE(OR2, a | b)
      LAXITY_GATE(NAND2, ~(a & b))
      LAXITY_GATE(NAND3, ~(a & b & c))
      LAXITY_GATE(NOR2, ~(a | b))
      LAXITY_GATE(NOR3, ~(a | b | c))
      LAXITY_GATE(XOR2, a ^ b)
      LAXITY_GATE(XNOR2, ~(a ^ b))
      LAXITY_GATE(AOI21, ~((a & b) | c))
      LAXITY_GATE(AOI22, ~((a & b) | (c & d)))
      LAXITY_GATE(OAI21, ~((a | b) & c))
      LAXITY_GATE(MUX2, ~(b ^ (a & (b ^ c))))
      case HA:
        drive(block, in, out[0], [](Word a, Word b, Word, Word) { return a ^ b; });
        drive(block, in, out[1], [](Word a, Word b, Word, Word) { return a & b; });
        break;
      case FA:
        drive(block, in, out[0], [](Word a, Word b, Word c, Word) { return a ^ b ^ c; });
        drive(block, in, out[1], [](Word a, Word b, Word c, Word) { return (a & b) | (c & (a ^ b)); });
        break;
    }
#undef LAXITY_GATE
  }

  // Differences of the outputs in a block, and all that is counted of them.
  void count(const Block& block, size_t fault) {
    const int32_t* line = f_.lines + 4 * fault;
    Word difference[64][kBlock];
    Word any[kBlock] = {};
    Word changed = 0;
    for (size_t bit = 0; bit < p_.bits; ++bit) {
      const int32_t net = p_.outputs[bit];
      const bool stuck = line[2] == -2 && size_t(line[3]) == bit;
      if (!stuck && w_.stamp[net] != block.stamp) continue;
      const Word* found = stuck ? block.golden + (line[1] ? kBlock : 0) : w_.faulty + size_t(net) * kBlock;
      const Word *golden = block.golden + size_t(net) * kBlock, *mask = p_.mask + block.first;
      Word differs = 0;
      for (size_t w = 0; w < kBlock; ++w) {
        const Word d = (found[w] ^ golden[w]) & mask[w];
        difference[bit][w] = d;
        any[w] |= d;
        differs |= d;
      }
      if (differs) changed |= Word(1) << bit;
    }
    r_.changed[fault] |= changed;
    if (r_.planes) copy(block, changed, difference);
    sign(block, fault, changed, difference);
    tally(block, fault, changed, any, difference);
  }

  void copy(const Block& block, Word changed, const Word (*difference)[kBlock]) {
    for (size_t bit = 0; bit < p_.bits; ++bit)
      for (size_t w = 0; w < kBlock; ++w)
        r_.planes[bit * p_.words + block.first + w] = changed >> bit & 1 ? difference[bit][w] : 0;
  }

  void sign(const Block& block, size_t fault, Word changed, const Word (*difference)[kBlock]) {
    constexpr Word low = 0xffffffff;
    for (size_t bit = 0; bit < p_.bits; ++bit) {
      if (!(changed >> bit & 1)) continue;
      for (size_t place = 0; place < kKeys; ++place) {
        const Word* keys = p_.keys + (place * p_.bits + bit) * p_.words + block.first;
        Word sum = 0;
        for (size_t w = 0; w < kBlock; ++w) {
          const Word d = difference[bit][w], k = keys[w];
          sum += (((d & low) + (k & low)) & low) * (((d >> 32) + (k >> 32)) & low) - (k & low) * (k >> 32);
        }
        r_.signatures[kKeys * fault + place] += sum;
      }
    }
  }

  void tally(const Block& block, size_t fault, Word changed, const Word* any, const Word (*difference)[kBlock]) {
    Tally all;
    for (size_t w = 0; w < kBlock; ++w) {
      if (any[w]) {
        all.shown += ones(any[w]);
        if (is_exact_)
          count_word<true>(block.first + w, w, changed, difference, all);
        else
          count_word<false>(block.first + w, w, changed, difference, all);
      } else if (!is_exact_) {
        const int64_t* base = w_.base + 4 * (block.first + w);
        all.wrong += base[0];
        all.distance += base[1];
        all.worst = base[2] > all.worst ? base[2] : all.worst;
        all.error += base[3];
      }
    }
    int64_t* counts = r_.counts + kCounts * fault;
    counts[0] += all.shown;
    counts[1] += all.fault_distance;
    counts[2] = all.fault_worst > counts[2] ? all.fault_worst : counts[2];
    counts[3] += all.fault_error;
    counts[4] += is_exact_ ? all.shown : all.wrong;
    counts[5] += is_exact_ ? all.fault_distance : all.distance;
    const int64_t worst = is_exact_ ? all.fault_worst : all.worst;
    counts[6] = worst > counts[6] ? worst : counts[6];
    counts[7] += is_exact_ ? all.fault_error : all.error;
  }

  template <bool Exact>
  void count_word(size_t word, size_t w, Word changed, const Word (*difference)[kBlock], Tally& all) {
    Value codes[64] = {};
    for (size_t group = 0; 8 * group < p_.bits; ++group) {
      if (!(changed >> (8 * group) & 0xff)) continue;
      Word m[8];
      for (size_t k = 0; k < 8; ++k) m[k] = changed >> (8 * group + k) & 1 ? difference[8 * group + k][w] : 0;
      exchange<1>(m, 0x5555555555555555ull);
      exchange<2>(m, 0x3333333333333333ull);
      exchange<4>(m, 0x0f0f0f0f0f0f0f0full);
      uint8_t octets[64];
      for (size_t j = 0; j < 8; ++j)
        for (size_t i = 0; i < 8; ++i) octets[8 * j + i] = static_cast<uint8_t>(m[j] >> (8 * i));
      for (size_t l = 0; l < 64; ++l) codes[l] |= Value(octets[l]) << (8 * group);
    }
    const Value *golden = codes_ + 64 * word, *exact = exact_ + 64 * word;
    Value fault_distance = 0, fault_worst = 0, fault_error = 0, wrong = 0, distance = 0, worst = 0, error = 0;
    for (size_t l = 0; l < 64; ++l) {
      const Value v = value(golden[l] ^ codes[l]), d = v - value(golden[l]), size = d < 0 ? -d : d;
      fault_distance += size;
      fault_worst = size > fault_worst ? size : fault_worst;
      fault_error += d;
      if (!Exact) {
        const Value e = v - exact[l], far = e < 0 ? -e : e;
        wrong += e != 0;
        distance += far;
        worst = far > worst ? far : worst;
        error += e;
      }
    }
    all.fault_distance += fault_distance;
    all.fault_worst = fault_worst > all.fault_worst ? fault_worst : all.fault_worst;
    all.fault_error += fault_error;
    all.wrong += wrong;
    all.distance += distance;
    all.worst = worst > all.worst ? worst : all.worst;
    all.error += error;
  }

  const Program& p_;
  const Faults& f_;
  const Results& r_;
  const Workspace& w_;
  const Value *codes_, *exact_;
  Value sign_;
  bool is_exact_ = true;
};

}  // namespace

void LAXITY_STUCK_AT_RUN(const Program& program, const Faults& faults, const Results& results, const Workspace& work) {
  if (program.wide)
    Simulation<int64_t>(program, faults, results, work).run();
  else
    Simulation<int32_t>(program, faults, results, work).run();
}

}  // namespace laxity::stuck_at
