// The server's own backup_manifest, so that pg_verifybackup can judge a restored directory.
//
// Source of the format: src/backend/backup/backup_manifest.c; version 1 up to 16, 2 from 17 on.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/file.h"
#include "format/record.h"

namespace backup_ext {

class StageTree;

// One line of it, without the comma: `{ "Path": ... }`. `crc` is a finished CRC-32C.
[[nodiscard]] std::string PostgresManifestLine(std::string_view path, uint64_t size_bytes,
                                               int64_t mtime_seconds, uint32_t crc);

// Written while the files are, in the order in which they are finished (which has no meaning).
class PostgresManifest {
 public:
  // Is given the text, piece by piece, under a lock.
  using Sink = std::function<void(ByteSpan)>;
  PostgresManifest(Sink sink, const BackupRecord& record);
  // Creates the file. `tree` must outlive this.
  PostgresManifest(const StageTree* tree, const BackupRecord& record);

  // Any thread. Files that pg_verifybackup does not look for are left out: everything in pg_wal,
  // postgresql.auto.conf, recovery.signal, standby.signal, backup_manifest.
  void Add(const std::string& path, uint64_t size_bytes, int64_t mtime_seconds, uint32_t crc);
  // The same for content at hand.
  void Add(const std::string& path, std::string_view content);
  // The WAL ranges and the manifest's own checksum.
  void Finish();

 private:
  void Append(std::string_view text);
  void Flush();

  const StageTree* tree_ = nullptr;  // of a manifest with a file of its own
  FileDescriptor file_;
  Sink sink_;
  BackupRecord record_;
  std::mutex mutex_;
  std::string buffer_;
  Sha256Stream digest_;
  bool first_ = true;
};

// Creates, writes and seals a small file of the stage, and adds it.
void WriteListed(const StageTree& tree, const std::string& path, std::string_view content,
                 uint32_t mode, PostgresManifest* manifest);

}  // namespace backup_ext
