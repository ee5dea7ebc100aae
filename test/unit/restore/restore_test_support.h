// What the tests of this room share: backups made by hand, and their restore.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "cluster/make_control_file.h"
#include "cluster/page.h"
#include "cluster/wal_builder.h"
#include "format/frame.h"
#include "format/manifest.h"
#include "format/manifest_entry.h"
#include "format/names.h"
#include "format/pack.h"
#include "format/record.h"
#include "restore/restore_run.h"
#include "store/catalog.h"
#include "store/repository.h"

namespace backup_ext {

inline constexpr uint64_t kTestSystemIdentifier = 7654321098765432109ULL;
inline constexpr uint32_t kTestWalSegmentBytes = 1024 * 1024;
inline constexpr uint32_t kTestPageBytes = 8192;
inline constexpr const char* kTestBackupId = "20261123-103245-9f3a2c1b";

class TemporaryDirectory {
 public:
  TemporaryDirectory()
      : path_(JoinPath(ResolvePath(testing::TempDir()), "restore-" + HexEncode(RandomBytes(8)))) {
    MakeDirectory(path_);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(std::string_view name) const { return JoinPath(path_, name); }

 private:
  std::string path_;
};

inline std::optional<Error> ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

inline std::string ReadText(const std::string& path) {
  return std::string(AsText(ReadWholeFile(path, 1 << 30)));
}

// Every path below `directory`, sorted; directories end with a slash.
inline std::vector<std::string> TreeOf(const std::string& directory) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    std::string path = std::filesystem::relative(entry.path(), directory).string();
    if (entry.is_directory() && !entry.is_symlink()) path += "/";
    if (entry.is_symlink()) path = entry.path().string().substr(directory.size() + 1);
    paths.push_back(path);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// A whole, sound control file of this cluster.
inline std::string TestControlFile(uint64_t system_identifier = kTestSystemIdentifier,
                                   uint32_t state = 0, uint32_t timeline = 0) {
  return MakeControlFile(system_identifier, state, timeline);
}

// A page with this LSN and the checksum that it should carry at `block`.
inline std::string TestPage(uint64_t lsn, uint32_t block, char fill) {
  alignas(8) char page[kTestPageBytes];
  std::memset(page, fill, sizeof(page));
  const uint32_t words[] = {static_cast<uint32_t>(lsn >> 32), static_cast<uint32_t>(lsn)};
  std::memcpy(page, words, sizeof(words));
  const uint16_t lower_upper[] = {100, 4000};
  std::memcpy(page + 12, lower_upper, sizeof(lower_upper));
  const uint16_t checksum = PageChecksum(std::as_bytes(std::span(page)), block);
  std::memcpy(page + 8, &checksum, sizeof(checksum));
  return {page, sizeof(page)};
}

// Segment 0x20: one record, from the start to the end of the backup.
inline std::string TestWal() {
  WalBuilder wal(0x2000028, kTestWalSegmentBytes, 1, kTestSystemIdentifier);
  wal.FillTo(0x2000100);
  return wal.Segment(0x20);
}

// Builds one backup, entry by entry; everything can be made wrong before Commit().
class BackupBuilder {
 public:
  explicit BackupBuilder(const std::string& location,
                         uint64_t system_identifier = kTestSystemIdentifier)
      : repository(Repository::OpenOrCreate(location, {system_identifier})) {
    record.backup_id = kTestBackupId;
    record.kind = "full";
    record.trigger = "manual";
    record.state = "complete";
    record.started_at = 1'790'000'000LL * kMicrosecondsPerSecond;
    record.finished_at = record.started_at + kMicrosecondsPerSecond;
    record.system_identifier = system_identifier;
    record.timeline = 1;
    record.start_lsn = 0x2000028;
    record.checkpoint_lsn = 0x2000060;
    record.stop_lsn = 0x2000100;
    record.wal_ranges = {{1, record.start_lsn, record.stop_lsn}};
    record.server_version = "15.18";
    record.server_version_num = 150018;
    record.block_bytes = kTestPageBytes;
    record.segment_blocks = 131072;
    record.wal_segment_bytes = kTestWalSegmentBytes;
    record.data_checksums = true;
    record.data_directory = "/var/lib/postgresql/15/main";
    pack_ = EncodePackHeader({system_identifier, {kTestBackupId, 0, 0}});
  }

  ManifestEntry& AddDirectory(const std::string& path, uint32_t mode = 0700) {
    ManifestEntry entry;
    entry.kind = EntryKind::kDirectory;
    entry.path = path;
    entry.mode = mode;
    return first.emplace_back(std::move(entry));
  }

  ManifestEntry MakeFile(const std::string& path, std::string_view content, uint32_t mode = 0600) {
    ManifestEntry entry;
    entry.path = path;
    entry.mode = mode;
    entry.size_bytes = content.size();
    entry.mtime_ns = 1'790'000'000LL * 1'000'000'000;
    entry.content = Xxh3Digest(AsBytes(content));
    entry.map.unit_bytes = 1;
    Map(content, &entry.map);
    return entry;
  }
  ManifestEntry& AddFile(const std::string& path, std::string_view content, uint32_t mode = 0600) {
    return first.emplace_back(MakeFile(path, content, mode));
  }
  ManifestEntry& AddLateFile(const std::string& path, std::string_view content,
                             FileKind kind = FileKind::kOther) {
    second.push_back(MakeFile(path, content));
    second.back().file_kind = kind;
    return second.back();
  }
  ManifestEntry& AddPages(const std::string& path, std::string_view pages) {
    ManifestEntry entry = MakeFile(path, "");
    entry.file_kind = FileKind::kRelation;
    entry.size_bytes = pages.size();
    entry.content = {};
    entry.map = {};
    entry.map.unit_bytes = kTestPageBytes;
    Map(pages, &entry.map);
    entry.map.all_visible = Bytes((pages.size() / kTestPageBytes + 7) / 8);
    return first.emplace_back(std::move(entry));
  }
  ManifestEntry& AddTablespace(uint32_t oid, const std::string& target) {
    ManifestEntry entry;
    entry.kind = EntryKind::kTablespaceLink;
    entry.path = "pg_tblspc/" + std::to_string(oid);
    entry.link_target = target;
    entry.mode = 0700;
    return first.emplace_back(std::move(entry));
  }
  void AddConfiguration(const std::string& path, const std::string& origin,
                        std::string_view content) {
    ManifestEntry entry = MakeFile(path, content);
    entry.kind = EntryKind::kConfiguration;
    entry.link_target = origin;
    second.push_back(std::move(entry));
  }

  // What every backup has.
  void AddMinimum() {
    for (const char* path : {"base", "base/1", "global", "pg_tblspc", "pg_wal"}) AddDirectory(path);
    AddFile("PG_VERSION", "15\n");
    AddFile("postgresql.conf", "max_connections = 42\n");
    AddFile("postgresql.auto.conf", "# by hand\nwork_mem = '8MB'\nport = 1111\n");
    AddFile("global/pg_filenode.map", std::string(524, 'm'));
    AddPages("base/1/1259", TestPage(100, 0, 'a') + TestPage(200, 1, 'b'));
    AddLateFile("backup_label", "START WAL LOCATION: 0/2000028 (file x)\n");
    AddLateFile("global/pg_control", TestControlFile(), FileKind::kControlFile);
    AddLateFile("pg_wal/000000010000000000000020", TestWal(), FileKind::kWal);
  }

  // Writes pack, manifest and record.
  const BackupRecord& Commit() {
    PutPack();
    PutManifest(EncodeSoundManifest());
    CommitBackup(repository, record);
    return record;
  }
  // The same, entries as they are: no check, no order.
  const BackupRecord& CommitHostile() {
    PutPack();
    PutManifest(EncodeAnyManifest());
    CommitBackup(repository, record);
    return record;
  }

  Repository repository;
  BackupRecord record;
  std::vector<ManifestEntry> first;
  std::vector<ManifestEntry> second;

 private:
  void Map(std::string_view content, PageMap* map) {
    for (size_t offset = 0; offset < content.size(); offset += kFramePlainLimitBytes) {
      const auto part = content.substr(offset, kFramePlainLimitBytes);
      const uint64_t place = pack_.size();
      FrameRef frame = encoder_.Encode(AsBytes(part), &pack_);
      frame.offset_bytes = place;
      map->frames.push_back(frame);
      map->Append(part.size() / map->unit_bytes, static_cast<uint32_t>(map->frames.size() - 1), 0);
    }
  }

  void PutPack() { repository.store().Put(PackName({kTestBackupId, 0, 0}), pack_); }

  void PutManifest(const Bytes& manifest) {
    repository.store().Put(ManifestName(kTestBackupId), manifest);
    record.manifest_bytes = manifest.size();
    record.manifest_digest = HexEncode(Xxh3Digest(manifest));
    record.packs = {{{kTestBackupId, 0, 0}, pack_.size(), pack_.size()}};
  }

  [[nodiscard]] ManifestHeader Header() const {
    return {kManifestVersion, record.system_identifier, kTestBackupId, "", kTestPageBytes};
  }

  Bytes EncodeSoundManifest() {
    const auto by_path = [](const ManifestEntry& a, const ManifestEntry& b) {
      return a.path < b.path;
    };
    std::sort(first.begin(), first.end(), by_path);
    std::sort(second.begin(), second.end(), by_path);
    Bytes bytes;
    ManifestWriter writer(Header(), 1, [&](ByteSpan frame) {
      bytes.insert(bytes.end(), frame.begin(), frame.end());
    });
    EXPECT_EQ(writer.PackIndex({kTestBackupId, 0, 0}), 0U);
    for (const ManifestEntry& entry : first) writer.Add(entry);
    writer.BeginSecondSection();
    for (const ManifestEntry& entry : second) writer.Add(entry);
    static_cast<void>(writer.Finish());
    return bytes;
  }

  Bytes EncodeAnyManifest() {
    Bytes plain;
    const auto put = [&](ByteWriter* entry) {
      ByteWriter length;
      length.PutVarint(entry->size());
      plain.insert(plain.end(), length.bytes().begin(), length.bytes().end());
      plain.insert(plain.end(), entry->bytes().begin(), entry->bytes().end());
      entry->Clear();
    };
    ByteWriter out;
    PutManifestHeader(Header(), &out);
    put(&out);
    PutManifestPack({kTestBackupId, 0, 0}, &out);
    put(&out);
    ManifestTotals totals;
    const auto put_entries = [&](const std::vector<ManifestEntry>& entries) {
      for (const ManifestEntry& entry : entries) {
        PutManifestEntry(entry, &out);
        put(&out);
        totals.directories += entry.kind == EntryKind::kDirectory ? 1 : 0;
        if (entry.kind != EntryKind::kFile && entry.kind != EntryKind::kConfiguration) continue;
        totals.files++;
        totals.size_bytes += entry.size_bytes;
      }
    };
    put_entries(first);
    out.PutU8(static_cast<uint8_t>(ManifestEntryType::kSecondSection));
    put(&out);
    put_entries(second);
    PutManifestTotals(totals, &out);
    put(&out);
    Bytes stored;
    for (size_t offset = 0; offset < plain.size(); offset += kFramePlainLimitBytes) {
      const size_t count = std::min(kFramePlainLimitBytes, plain.size() - offset);
      static_cast<void>(encoder_.Encode(ByteSpan(plain).subspan(offset, count), &stored));
    }
    return stored;
  }

  FrameEncoder encoder_{1};
  Bytes pack_;
};

// A repository and a place for a stage.
class RestoreTest : public testing::Test {
 protected:
  RestoreTest() : backup_(directory_ / "repository") {}

  StageOptions Options() {
    StageOptions options;
    options.stage_id = stage_id_;
    options.directory = stage_;
    options.threads = 2;
    options.forbidden = {directory_ / "repository"};
    options.bin_directory = "/usr/lib/postgresql/15/bin";
    options.port = 5544;
    return options;
  }
  StageResult Restore(const std::function<void()>& pause_point = [] {}) {
    return RestoreToStage(backup_.repository, backup_.record, Options(), &progress_, pause_point);
  }
  [[nodiscard]] std::string InStage(const std::string& path) const { return stage_ + "/" + path; }

  TemporaryDirectory directory_;
  // Of its own: a long path puts a directory named after it into /tmp.
  std::string stage_id_ = NewStageId(Now());
  std::string stage_ = directory_ / "copy";
  BackupBuilder backup_;
  Progress progress_;
};

}  // namespace backup_ext
