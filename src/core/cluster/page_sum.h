// The 32-bit sum under a page's checksum, for each kind of processor. Private to page.cpp and its
// test.
//
// `page_bytes` is a multiple of 128, at least 128. pd_checksum counts as zero.
// Source: src/include/storage/checksum_impl.h, pg_checksum_block().
#pragma once

#include <cstddef>
#include <cstdint>

namespace backup_ext {

inline constexpr size_t kPageChecksumOffset = 8;  // pd_checksum

[[nodiscard]] uint32_t SumPagePlain(const std::byte* page, size_t page_bytes);

#if defined(__x86_64__)
[[nodiscard]] bool HasAvx2();
// Only where HasAvx2().
[[nodiscard]] uint32_t SumPageAvx2(const std::byte* page, size_t page_bytes);
#endif

}  // namespace backup_ext
