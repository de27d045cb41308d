#include "level.h"

#include <stdexcept>
#include <string>

#include "lowrank.h"

namespace laxity {
namespace {

bool cpu_has_avx512() {
#if defined(LAXITY_AVX512)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("gfni") && __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

bool cpu_has_avx2() {
#if defined(LAXITY_AVX2)
  return __builtin_cpu_supports("avx2");
#else
  return false;
#endif
}

const Level* usable(const Level* level) { return level_agrees(*level) && lowrank_agrees(*level) ? level : nullptr; }

const Level* avx512() {
#if defined(LAXITY_AVX512)
  static const Level* const level = cpu_has_avx512() ? usable(level_avx512()) : nullptr;
  return level;
#else
  return nullptr;
#endif
}

const Level* avx2() {
#if defined(LAXITY_AVX2)
  static const Level* const level = cpu_has_avx2() ? usable(level_avx2()) : nullptr;
  return level;
#else
  return nullptr;
#endif
}

}  // namespace

const Level& level_named(const char* name) {
  const std::string wanted = name;
  const bool best = wanted.empty();
  if ((best || wanted == "avx512") && avx512()) return *avx512();
  if ((best || wanted == "avx2") && avx2()) return *avx2();
  if (best || wanted == "portable") return *level_portable();
  throw std::invalid_argument("instruction set '" + wanted + "' is unknown or not available here");
}

}  // namespace laxity
