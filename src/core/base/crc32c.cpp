// CRC-32C: the processor's instruction where there is one, else eight tables.
#include "base/crc32c.h"

#include <array>
#include <cstring>

#include "base/digest.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace backup_ext {
namespace {

constexpr uint32_t kReflectedPolynomial = 0x82F63B78;

using Tables = std::array<std::array<uint32_t, 256>, 8>;

// tables[k][b]: what byte b does to the CRC when k more bytes follow it.
constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReflectedPolynomial : 0);
    }
    tables[0][i] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t i = 0; i < 256; ++i) {
      const uint32_t shorter = tables[k - 1][i];
      tables[k][i] = (shorter >> 8) ^ tables[0][shorter & 0xFF];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t Crc32cUpdateSse42(uint32_t crc, ByteSpan bytes) {
  const std::byte* next = bytes.data();
  size_t left = bytes.size();
  uint64_t wide = crc;
  for (; left >= 8; next += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, next, sizeof(word));
    wide = _mm_crc32_u64(wide, word);
  }
  crc = static_cast<uint32_t>(wide);
  for (; left > 0; ++next, --left) {
    crc = _mm_crc32_u8(crc, std::to_integer<uint8_t>(*next));
  }
  return crc;
}
#endif

}  // namespace

uint32_t Crc32cUpdatePortable(uint32_t crc, ByteSpan bytes) {
  const auto at = [&bytes](size_t i) { return std::to_integer<uint32_t>(bytes[i]); };
  size_t i = 0;
  for (; bytes.size() - i >= 8; i += 8) {
    crc ^= at(i) | at(i + 1) << 8 | at(i + 2) << 16 | at(i + 3) << 24;
    crc = kTables[7][crc & 0xFF] ^ kTables[6][(crc >> 8) & 0xFF] ^ kTables[5][(crc >> 16) & 0xFF] ^
          kTables[4][crc >> 24] ^ kTables[3][at(i + 4)] ^ kTables[2][at(i + 5)] ^
          kTables[1][at(i + 6)] ^ kTables[0][at(i + 7)];
  }
  for (; i < bytes.size(); ++i) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ at(i)) & 0xFF];
  }
  return crc;
}

uint32_t Crc32cUpdate(uint32_t crc, ByteSpan bytes) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) {
    return Crc32cUpdateSse42(crc, bytes);
  }
#endif
  return Crc32cUpdatePortable(crc, bytes);
}

}  // namespace backup_ext
