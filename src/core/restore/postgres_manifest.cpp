// The server's own backup_manifest, so that pg_verifybackup can judge a restored directory.
#include "restore/postgres_manifest.h"

#include <fmt/format.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/clock.h"
#include "base/lsn.h"
#include "restore/stage_tree.h"
#include "restore/wal_plan.h"

namespace backup_ext {
namespace {

constexpr size_t kFlushBytes = 256 * 1024;

// The manifest is UTF-8; a path that is not goes in as hexadecimal digits.
std::string PathField(std::string_view path) {
  try {
    return fmt::format("\"Path\": {}", nlohmann::json(path).dump());
  } catch (const nlohmann::json::type_error&) {
    return fmt::format("\"Encoded-Path\": \"{}\"", HexEncode(AsBytes(path)));
  }
}

bool IsLookedFor(const std::string& path) {
  return path != "postgresql.auto.conf" && path != "recovery.signal" && path != "standby.signal" &&
         path != "backup_manifest" && path.rfind("pg_wal/", 0) != 0;
}

}  // namespace

std::string PostgresManifestLine(std::string_view path, uint64_t size_bytes, int64_t mtime_seconds,
                                 uint32_t crc) {
  // The four bytes as they lie in memory, as pg_checksum_final() copies them.
  std::byte crc_bytes[sizeof(crc)];
  std::memcpy(crc_bytes, &crc, sizeof(crc));
  return fmt::format(
      "{{ {}, \"Size\": {}, \"Last-Modified\": \"{}\", \"Checksum-Algorithm\": \"CRC32C\", "
      "\"Checksum\": \"{}\" }}",
      PathField(path), size_bytes, FormatTimeGmt(mtime_seconds), HexEncode(crc_bytes));
}

PostgresManifest::PostgresManifest(const StageTree* tree, const BackupRecord& record)
    : PostgresManifest(
          [this](ByteSpan text) {
            WriteAll(file_.get(), text, tree_->FullPath("backup_manifest"));
          },
          record) {
  tree_ = tree;
  file_ = tree->CreateFile("backup_manifest");
}

PostgresManifest::PostgresManifest(Sink sink, const BackupRecord& record)
    : sink_(std::move(sink)), record_(record) {
  if (record_.server_version_num < 170000) {
    Append("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n");
  } else {
    Append(
        fmt::format("{{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n"
                    "\"System-Identifier\": {},\n",
                    record_.system_identifier));
  }
  Append("\"Files\": [");
}

void PostgresManifest::Append(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kFlushBytes) Flush();
}

void PostgresManifest::Flush() {
  digest_.Update(AsBytes(buffer_));
  sink_(AsBytes(buffer_));
  buffer_.clear();
}

void PostgresManifest::Add(const std::string& path, uint64_t size_bytes, int64_t mtime_seconds,
                           uint32_t crc) {
  if (!IsLookedFor(path)) return;
  const std::string line = PostgresManifestLine(path, size_bytes, mtime_seconds, crc);
  const std::lock_guard lock(mutex_);
  Append(first_ ? "\n" : ",\n");
  first_ = false;
  Append(line);
}

void PostgresManifest::Add(const std::string& path, std::string_view content) {
  Add(path, content.size(), Now() / kMicrosecondsPerSecond,
      Crc32cFinish(Crc32cUpdate(kCrc32cInit, AsBytes(content))));
}

void PostgresManifest::Finish() {
  const std::lock_guard lock(mutex_);
  Append("\n],\n\"WAL-Ranges\": [");
  const char* separator = "\n";
  for (const WalRange& range : WalRangesOf(record_)) {
    Append(fmt::format("{}{{ \"Timeline\": {}, \"Start-LSN\": \"{}\", \"End-LSN\": \"{}\" }}",
                       separator, range.timeline, FormatLsn(range.start_lsn),
                       FormatLsn(range.end_lsn)));
    separator = ",\n";
  }
  Append("\n],\n");
  Flush();  // the checksum is that of everything up to here
  const auto digest = digest_.Finish();
  const std::string last = fmt::format("\"Manifest-Checksum\": \"{}\"}}\n", HexEncode(digest));
  sink_(AsBytes(last));
  if (tree_ != nullptr) tree_->SealFile(file_.get(), 0600, "backup_manifest");
}

void WriteListed(const StageTree& tree, const std::string& path, std::string_view content,
                 uint32_t mode, PostgresManifest* manifest) {
  tree.WriteSmallFile(path, content, mode);
  manifest->Add(path, content);
}

}  // namespace backup_ext
