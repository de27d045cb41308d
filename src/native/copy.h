// Copies of short rows, which cost less in place than by a call of the library.
#pragma once

#include <cstdint>
#include <cstring>

namespace laxity {

inline void copy_bytes(const void* from, void* to, int64_t bytes) {
  const auto* source = static_cast<const uint8_t*>(from);
  auto* target = static_cast<uint8_t*>(to);
  if (bytes < 16 || bytes > 128) {
    std::memcpy(target, source, bytes);
    return;
  }
  // The last sixteen bytes overlap what was copied before.
  for (int64_t i = 0; i + 16 <= bytes; i += 16) std::memcpy(target + i, source + i, 16);
  std::memcpy(target + bytes - 16, source + bytes - 16, 16);
}

}  // namespace laxity
