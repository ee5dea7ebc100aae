// The bytes of a manifest's entries: what its writer and its reader share.
//
// A type byte, then fields (V: varint, S: signed varint; documented in doc/repository_format.md,
// "Manifest"). Types 1 to 7 are EntryKind:
//   1..7   file_kind byte, path, link_target, V mode, V uid, V gid, V size_bytes, V inode,
//          S mtime_ns, S ctime_ns, S birth_ns, S read_at, V count of xattrs, then name and value of
//          each, ascending by name; for types 2 and 4 then 16 bytes content and the page map
//   64     pack: backup id, V thread, V number
//   65     the second section begins
//   66     end: V files, V directories, V size_bytes
//   67     header, the first entry: 4 bytes "BXM1", V version, 8 bytes system identifier, backup
//   id,
//          parent id, V page_bytes
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "format/manifest.h"

namespace backup_ext {

enum class ManifestEntryType : uint8_t {
  kPack = 64,
  kSecondSection = 65,
  kEnd = 66,
  kHeader = 67,
};

// Far above the page map of any file there is (about 12 TB), and a bound for hostile input.
inline constexpr uint64_t kManifestEntryLimitBytes = 256ULL * 1024 * 1024;
// 256 TB of packs.
inline constexpr size_t kManifestPackLimit = size_t{4} * 1024 * 1024;

// All without the length in front. Get...() are called after the type byte was read; they throw
// Error(kDamaged), GetManifestHeader() also Error(kUnsupportedFormat).
void PutManifestHeader(const ManifestHeader& header, ByteWriter* out);
[[nodiscard]] ManifestHeader GetManifestHeader(ByteReader* in);
void PutManifestPack(const PackId& pack, ByteWriter* out);
[[nodiscard]] PackId GetManifestPack(ByteReader* in);
void PutManifestTotals(const ManifestTotals& totals, ByteWriter* out);
[[nodiscard]] ManifestTotals GetManifestTotals(ByteReader* in);
void PutManifestEntry(const ManifestEntry& entry, ByteWriter* out);
[[nodiscard]] ManifestEntry GetManifestEntry(EntryKind kind, ByteReader* in);

// Throws Error(kDamaged): `invalid manifest: <problem>`.
[[noreturn]] void ThrowDamagedManifest(std::string_view problem);

// What writer and reader know when an entry comes.
struct ManifestPosition {
  uint32_t page_bytes = 0;
  size_t packs = 0;
  bool in_second_section = false;
  std::string path_before;  // in this section; empty at its begin
  ManifestTotals totals;

  // Checks the header; throws Error(kDamaged).
  void Begin(const ManifestHeader& header);
  // Throws Error(kDamaged) unless `entry` may come here, then counts it.
  void Advance(const ManifestEntry& entry);
  void BeginSecondSection();
};

}  // namespace backup_ext
