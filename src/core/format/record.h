// The record of one backup: a small JSON object; writing it is the commit. Never changed later.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "format/names.h"

namespace backup_ext {

inline constexpr uint32_t kRecordVersion = 1;

struct PackUse {
  PackId pack;
  uint64_t used_bytes = 0;  // stored bytes of the frames that this backup refers to
  uint64_t size_bytes = 0;  // of the whole pack
  bool operator==(const PackUse&) const = default;
};

struct WalRange {
  uint32_t timeline = 0;
  uint64_t start_lsn = 0;
  uint64_t end_lsn = 0;
  bool operator==(const WalRange&) const = default;
};

struct TablespaceRecord {
  uint32_t oid = 0;
  std::string location;  // absolute path on the origin
  uint64_t size_bytes = 0;
  bool operator==(const TablespaceRecord&) const = default;
};

// One of the media directories of a backup, in the order of the setting.
struct MediaDirectoryRecord {
  std::string path;  // absolute, on the origin
  uint64_t files = 0;
  uint64_t size_bytes = 0;
  bool operator==(const MediaDirectoryRecord&) const = default;
};

// What a record says of media; all empty for a backup without.
struct MediaRecord {
  std::vector<MediaDirectoryRecord> directories;
  // The point of consistency: every file is as it was at this time or later, and it is later than
  // the end of the database's backup.
  Microseconds read_at = 0;
  uint64_t unreadable = 0;       // files and directories that are not in the backup
  uint64_t manifest_bytes = 0;   // stored size of the media's manifest
  std::string manifest_digest;   // XXH3-128 of its stored bytes, hexadecimal
  std::string first_unreadable;  // why the first one is not
  bool operator==(const MediaRecord&) const = default;
};

struct BackupRecord {
  uint32_t version = kRecordVersion;
  std::string backup_id;
  std::string label;          // empty: none
  std::string kind;           // "full" or "incremental"
  std::string trigger;        // "manual", "schedule", "safety"
  std::string state;          // "complete", or "damaged": pages failed their checksum when read
  std::string error;          // what is damaged, empty for "complete"
  std::string parent_id;      // empty for a full backup
  std::string parent_reason;  // why there is no parent, where one was looked for
  Microseconds started_at = 0;
  Microseconds finished_at = 0;

  uint64_t database_bytes = 0;  // plain size of everything in the manifest but media
  uint64_t media_bytes = 0;
  uint64_t stored_bytes = 0;  // what this backup added to the repository
  uint64_t wal_bytes = 0;
  uint64_t files = 0;

  uint64_t system_identifier = 0;
  uint32_t timeline = 0;
  uint64_t start_lsn = 0;  // redo of the starting checkpoint
  uint64_t checkpoint_lsn = 0;
  uint64_t stop_lsn = 0;
  bool from_standby = false;
  std::vector<WalRange> wal_ranges;  // newest timeline first, as backup_manifest wants them

  std::string server_version;       // "15.18"
  uint32_t server_version_num = 0;  // 150018
  uint32_t control_version = 0;
  uint32_t catalog_version = 0;
  uint32_t block_bytes = 0;
  uint32_t segment_blocks = 0;  // blocks of a relation's segment
  uint32_t wal_segment_bytes = 0;
  bool data_checksums = false;
  std::string wal_level;
  std::string data_directory;
  std::string host;
  // Every setting that came from a configuration file or the command line, by name: a restored
  // server must have some of them at least as high as here (notes 8.1), and one whose
  // configuration lay outside the data directory starts from them.
  std::map<std::string, std::string> settings;
  std::vector<TablespaceRecord> tablespaces;

  uint64_t manifest_bytes = 0;  // stored size of the manifest object
  std::string manifest_digest;  // XXH3-128 of its stored bytes, hexadecimal
  std::vector<PackUse> packs;
  MediaRecord media;
  bool operator==(const BackupRecord&) const = default;
};

[[nodiscard]] inline bool HasMedia(const BackupRecord& record) {
  return !record.media.directories.empty();
}

[[nodiscard]] inline uint64_t MediaFiles(const BackupRecord& record) {
  uint64_t files = 0;
  for (const MediaDirectoryRecord& directory : record.media.directories) files += directory.files;
  return files;
}

// Its wal_ranges; from its start to its stop where it names none. Newest timeline first.
[[nodiscard]] std::vector<WalRange> WalRangesOf(const BackupRecord& record);

// The text ends with a digest of all bytes before it, so that every change of a byte is found.
[[nodiscard]] std::string EncodeRecord(const BackupRecord& record);
// Throws Error(kDamaged) and Error(kUnsupportedFormat); unknown fields are ignored.
[[nodiscard]] BackupRecord DecodeRecord(std::string_view text);

// repository.json
struct RepositoryIdentity {
  uint32_t format_version = 1;
  uint64_t system_identifier = 0;
  Microseconds created_at = 0;
  bool operator==(const RepositoryIdentity&) const = default;
};
inline constexpr uint32_t kRepositoryFormatVersion = 1;
[[nodiscard]] std::string EncodeRepositoryIdentity(const RepositoryIdentity& identity);
// Throws Error(kDamaged); Error(kUnsupportedFormat) for a format_version above 1.
[[nodiscard]] RepositoryIdentity DecodeRepositoryIdentity(std::string_view text);

}  // namespace backup_ext
