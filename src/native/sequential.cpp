#include "sequential.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "buffer.h"
#include "parallel.h"

// Every operation reads and writes the same words, so its loop may be vectorised even where registers are the same.
#if defined(__clang__)
#define LAXITY_WORDS _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define LAXITY_WORDS _Pragma("GCC ivdep")
#elif defined(_MSC_VER)
#define LAXITY_WORDS __pragma(loop(ivdep))
#else
#define LAXITY_WORDS
#endif

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__)
#define LAXITY_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define LAXITY_CLONES
#endif

namespace laxity {
namespace {

using Word = uint64_t;

constexpr int kWords = 64;                     // of a register
constexpr int kGroup = 64;                     // outputs that are computed together, at most
constexpr int64_t kStateBytes = 512 * 1024;    // of the sums of one task
constexpr int kGateNumbers = 7;

enum Cell { kInv, kBuf, kAnd2, kOr2, kNand2, kNand3, kNor2, kNor3, kXor2, kXnor2, kAoi21, kAoi22, kOai21, kMux2, kHa,
            kFa, kCells };

#define LAXITY_OPERATION(expression)                          \
  {                                                           \
    LAXITY_WORDS for (int i = 0; i < kWords; ++i) {           \
      x[i] = expression;                                      \
    }                                                         \
    break;                                                    \
  }

// Runs all gates on one register file; register r starts at file[r].
LAXITY_CLONES
void run(const int32_t* gate, int64_t count, Word* const* file) {
  for (int64_t g = 0; g < count; ++g, gate += kGateNumbers) {
    const Word* a = file[gate[1]];
    const Word* b = file[gate[2]];
    const Word* c = file[gate[3]];
    const Word* d = file[gate[4]];
    Word* x = file[gate[5]];
    Word* y = file[gate[6]];
    switch (gate[0]) {
      case kInv: LAXITY_OPERATION(~a[i])
      case kBuf: LAXITY_OPERATION(a[i])
      case kAnd2: LAXITY_OPERATION(a[i] & b[i])
      case kOr2: LAXITY_OPERATION(a[i] | b[i])
      case kNand2: LAXITY_OPERATION(~(a[i] & b[i]))
      case kNand3: LAXITY_OPERATION(~(a[i] & b[i] & c[i]))
      case kNor2: LAXITY_OPERATION(~(a[i] | b[i]))
      case kNor3: LAXITY_OPERATION(~(a[i] | b[i] | c[i]))
      case kXor2: LAXITY_OPERATION(a[i] ^ b[i])
      case kXnor2: LAXITY_OPERATION(~(a[i] ^ b[i]))
      case kAoi21: LAXITY_OPERATION(~((a[i] & b[i]) | c[i]))
      case kAoi22: LAXITY_OPERATION(~((a[i] & b[i]) | (c[i] & d[i])))
      case kOai21: LAXITY_OPERATION(~((a[i] | b[i]) & c[i]))
      case kMux2: LAXITY_OPERATION(~(b[i] ^ (a[i] & (b[i] ^ c[i]))))
      case kHa: {
        LAXITY_WORDS for (int i = 0; i < kWords; ++i) {
          const Word p = a[i], q = b[i];
          x[i] = p ^ q;
          y[i] = p & q;
        }
        break;
      }
      default: {
        LAXITY_WORDS for (int i = 0; i < kWords; ++i) {
          const Word p = a[i], q = b[i], r = c[i], half = p ^ q;
          x[i] = half ^ r;
          y[i] = (p & q) | (r & half);
        }
      }
    }
  }
}

// Bit j of word i becomes bit i of word j.
LAXITY_CLONES
void transpose(Word* m) {
  Word mask = 0x00000000FFFFFFFFull;
  for (int j = 32; j; j >>= 1, mask ^= mask << j)
    for (int base = 0; base < 64; base += 2 * j) {
      LAXITY_WORDS for (int k = base; k < base + j; ++k) {
        const Word t = ((m[k] >> j) ^ m[k + j]) & mask;
        m[k] ^= t << j;
        m[k + j] ^= t;
      }
    }
}

int lane_bytes(int64_t outputs) { return outputs > 32 ? 8 : outputs > 16 ? 4 : outputs > 8 ? 2 : 1; }

// One task: some rows of activations with one group of outputs.
class Task {
 public:
  Task(const SequentialProgram& program, const SequentialOperands& operands, const Word* masks, int64_t first_output)
      : p_(program), o_(operands), masks_(masks), first_(first_output),
        group_(std::min<int64_t>(kGroup, operands.outputs - first_output)), lane_(lane_bytes(group_)),
        chunks_((operands.activation_codes + 63) / 64), rows_per_block_(kWords * 8 / lane_) {}

  int64_t rows_per_block() const { return rows_per_block_; }

  void compute(int64_t from, int64_t to, int64_t* sums) {
    const int64_t blocks = (to - from + rows_per_block_ - 1) / rows_per_block_;
    const int64_t state_words = static_cast<int64_t>(p_.bits) * kWords;
    thread_local Buffer buffers[3];
    Word* state = buffers[0].get<Word>(blocks * state_words);
    Word* scratch = buffers[1].get<Word>(static_cast<int64_t>(p_.registers) * kWords);
    uint8_t* packed = buffers[2].get<uint8_t>(chunks_ * 64 * p_.planes * lane_);
    std::fill(state, state + blocks * state_words, 0);
    prepare(scratch);
    for (int64_t k = 0; k < o_.reduction; ++k) {
      pack(k, packed);
      const bool last = (k + 1) % o_.chain == 0 || k + 1 == o_.reduction;
      for (int64_t block = 0; block < blocks; ++block) {
        const int64_t row = from + block * rows_per_block_;
        const int64_t rows = std::min(rows_per_block_, to - row);
        Word* own = state + block * state_words;
        pick(o_.rows + k * o_.count + row, rows, packed, file_[p_.bits]);
        for (int b = 0; b < p_.bits; ++b) file_[b] = own + b * kWords;
        run(p_.gates, p_.count, file_.data());
        if (last) put_out(own, row, rows, sums);
      }
    }
  }

 private:
  void prepare(Word* scratch) {
    file_.resize(p_.registers);
    for (int r = p_.bits; r < p_.registers; ++r) file_[r] = scratch + static_cast<int64_t>(r - p_.bits) * kWords;
    // Lanes without a row keep the zeros that they start with.
    std::fill(file_[p_.bits], file_[p_.bits] + static_cast<int64_t>(p_.planes + 1) * kWords, 0);
    std::fill(file_[p_.bits + p_.planes + 1], file_[p_.bits + p_.planes + 1] + kWords, ~Word{0});
  }

  // For every activation code, the bits of its products with the weights of step k: plane after plane.
  void pack(int64_t k, uint8_t* packed) const {
    Word matrix[64];
    for (int plane = 0; plane < p_.planes; ++plane)
      for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
        for (int64_t n = 0; n < group_; ++n) {
          const int64_t code = o_.weight[(first_ + n) * o_.reduction + k];
          matrix[n] = masks_[(code * p_.planes + plane) * chunks_ + chunk];
        }
        std::fill(matrix + group_, matrix + 64, 0);
        transpose(matrix);
        uint8_t* to = packed + (chunk * 64 * p_.planes + plane) * lane_;
        for (int64_t a = 0; a < 64; ++a, to += p_.planes * lane_) std::memcpy(to, &matrix[a], lane_);
      }
  }

  void pick(const uint16_t* codes, int64_t rows, const uint8_t* packed, Word* planes) const {
    switch (lane_) {
      case 1: return pick_as<uint8_t>(codes, rows, packed, planes);
      case 2: return pick_as<uint16_t>(codes, rows, packed, planes);
      case 4: return pick_as<uint32_t>(codes, rows, packed, planes);
      default: return pick_as<uint64_t>(codes, rows, packed, planes);
    }
  }

  // Copies the bits of every row's code into the registers of the product.
  template <class Lane>
  void pick_as(const uint16_t* codes, int64_t rows, const uint8_t* packed, Word* planes) const {
    uint8_t* const to = reinterpret_cast<uint8_t*>(planes);
    const int count = p_.planes;
    for (int64_t m = 0; m < rows; ++m) {
      const uint8_t* from = packed + static_cast<int64_t>(codes[m]) * count * sizeof(Lane);
      uint8_t* at = to + m * sizeof(Lane);
      for (int plane = 0; plane < count; ++plane, from += sizeof(Lane), at += kWords * sizeof(Word))
        std::memcpy(at, from, sizeof(Lane));
    }
  }

  // Adds the sums of a block to the result and sets them to 0.
  void put_out(Word* own, int64_t row, int64_t rows, int64_t* sums) const {
    Word matrix[64];
    const int lanes = 8 * lane_;
    for (int word = 0; word < kWords; ++word) {
      const int64_t first = row + static_cast<int64_t>(word) * 64 / lanes;
      if (first >= row + rows) break;
      for (int b = 0; b < 64; ++b) matrix[b] = own[std::min(b, p_.bits - 1) * kWords + word];
      transpose(matrix);
      for (int64_t m = first; m < std::min<int64_t>(first + 64 / lanes, row + rows); ++m) {
        int64_t* to = sums + m * o_.outputs + first_;
        const Word* from = matrix + (m - first) * lanes;
        for (int64_t n = 0; n < group_; ++n) to[n] += static_cast<int64_t>(from[n]);
      }
    }
    std::fill(own, own + static_cast<int64_t>(p_.bits) * kWords, 0);
  }

  const SequentialProgram& p_;
  const SequentialOperands& o_;
  const Word* masks_;
  int64_t first_, group_;
  int lane_;
  int64_t chunks_, rows_per_block_;
  std::vector<Word*> file_;
};

void check(const SequentialProgram& p, const SequentialOperands& o) {
  if (p.bits < 1 || p.bits > 64 || p.planes < 1 || p.registers < p.bits + p.planes + 2)
    throw std::invalid_argument("a program has too few registers");
  for (int64_t g = 0; g < p.count; ++g) {
    const int32_t* gate = p.gates + g * kGateNumbers;
    bool known = gate[0] >= 0 && gate[0] < kCells;
    for (int pin = 1; pin < kGateNumbers; ++pin) known = known && gate[pin] >= 0 && gate[pin] < p.registers;
    if (!known) throw std::invalid_argument("a program has an unknown cell or register");
  }
  if (o.count < 0 || o.outputs < 0 || o.reduction < 0 || o.chain < 1 || o.weight_codes < 1 || o.activation_codes < 1)
    throw std::invalid_argument("sizes of sequential products are wrong");
}

// For every weight code and plane, a bit for every activation code.
std::vector<Word> masks_of(const SequentialProgram& p, const SequentialOperands& o, int threads) {
  const int64_t chunks = (o.activation_codes + 63) / 64;
  std::vector<Word> masks(static_cast<size_t>(o.weight_codes * p.planes * chunks), 0);
  parallel_for(threads, o.weight_codes, [&](int, int64_t w) {
    const int64_t* products = o.table + w * o.activation_codes;
    for (int plane = 0; plane < p.planes; ++plane) {
      Word* to = masks.data() + (w * p.planes + plane) * chunks;
      for (int64_t a = 0; a < o.activation_codes; ++a)
        to[a / 64] |= static_cast<Word>(products[a] >> plane & 1) << (a % 64);
    }
  });
  return masks;
}

}  // namespace

const std::vector<std::string>& sequential_cells() {
  static const std::vector<std::string> names{"INV",  "BUF",  "AND2",  "OR2",   "NAND2", "NAND3", "NOR2", "NOR3",
                                              "XOR2", "XNOR2", "AOI21", "AOI22", "OAI21", "MUX2",  "HA",   "FA"};
  return names;
}

void sequential_products(const SequentialProgram& program, const SequentialOperands& operands, int64_t* sums,
                         int threads) {
  check(program, operands);
  std::fill(sums, sums + operands.count * operands.outputs, 0);
  if (!operands.count || !operands.outputs || !operands.reduction) return;
  const std::vector<Word> masks = masks_of(program, operands, threads);
  const int64_t groups = (operands.outputs + kGroup - 1) / kGroup;
  const int64_t block = Task(program, operands, masks.data(), 0).rows_per_block();
  const int64_t most = std::max<int64_t>(1, kStateBytes / (static_cast<int64_t>(program.bits) * kWords * 8));
  const int64_t fair = (operands.count + block * threads - 1) / (block * threads);
  const int64_t step = block * std::max<int64_t>(1, std::min(most, fair));
  const int64_t pieces = (operands.count + step - 1) / step;
  parallel_for(threads, pieces * groups, [&](int, int64_t number) {
    Task task(program, operands, masks.data(), number % groups * kGroup);
    const int64_t from = number / groups * step;
    task.compute(from, std::min(from + step, operands.count), sums);
  });
}

}  // namespace laxity
