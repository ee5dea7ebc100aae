// The sum of a page by rows of 32 words, a vector of words at a time.
#include "cluster/page_sum.h"

#include <cstring>

namespace backup_ext {
namespace {

// 32 independent FNV-1a-like sums, each over one column of the page seen as rows of 32 words.
constexpr size_t kColumns = 32;
constexpr size_t kRowBytes = kColumns * sizeof(uint32_t);
constexpr uint32_t kPrime = 16777619;
constexpr uint32_t kStart[kColumns] = {
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};

// `kLanes` sums at a time. Always inlined, so that it is compiled for the processor of its caller;
// the vectors stay in registers only while they are no arguments.
template <size_t kLanes>
[[gnu::always_inline]] inline uint32_t SumPage(const std::byte* page, size_t page_bytes) {
  typedef uint32_t Vector __attribute__((vector_size(kLanes * sizeof(uint32_t))));
  constexpr size_t kVectors = kColumns / kLanes;
  Vector sums[kVectors];
  static_assert(sizeof(sums) == kRowBytes);
  std::memcpy(sums, kStart, kRowBytes);

  // pd_checksum becomes zero in a copy of its row: another thread may be reading the page too.
  std::byte first_row[kRowBytes];
  std::memcpy(first_row, page, kRowBytes);
  std::memset(first_row + kPageChecksumOffset, 0, sizeof(uint16_t));

  const std::byte* row = first_row;
  for (size_t next = kRowBytes;; next += kRowBytes) {
#pragma GCC unroll 8
    for (size_t i = 0; i < kVectors; ++i) {
      Vector words;
      std::memcpy(&words, row + i * sizeof(Vector), sizeof(Vector));
      const Vector mixed = sums[i] ^ words;
      sums[i] = (mixed * kPrime) ^ (mixed >> 17);
    }
    if (next >= page_bytes) break;
    row = page + next;
  }

  uint32_t columns[kColumns];
  std::memcpy(columns, sums, kRowBytes);
  uint32_t folded = 0;
  for (uint32_t column : columns) {
    // Two rounds of zeroes end each sum.
    for (int round = 0; round < 2; ++round) column = (column * kPrime) ^ (column >> 17);
    folded ^= column;
  }
  return folded;
}

}  // namespace

uint32_t SumPagePlain(const std::byte* page, size_t page_bytes) {
  return SumPage<4>(page, page_bytes);
}

#if defined(__x86_64__)
bool HasAvx2() { return __builtin_cpu_supports("avx2"); }

[[gnu::target("avx2")]] uint32_t SumPageAvx2(const std::byte* page, size_t page_bytes) {
  return SumPage<8>(page, page_bytes);
}
#endif

}  // namespace backup_ext
