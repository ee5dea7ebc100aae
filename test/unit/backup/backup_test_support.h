// What the tests of this room share: a data directory made by hand, a server that is none, and a
// reader of what was stored.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "backup/backup_run.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "format/manifest.h"
#include "format/record.h"
#include "store/lock.h"
#include "store/repository.h"

namespace backup_ext {

inline constexpr uint64_t kTestSystemIdentifier = 7654321098765432109ULL;
inline constexpr uint32_t kTestPageBytes = 8192;
inline constexpr uint32_t kTestWalSegmentBytes = 1024 * 1024;
inline constexpr uint64_t kTestStartLsn = 0x10000000;
inline constexpr uint64_t kTestWalPosition = 0x20000000;
inline constexpr const char* kTestVersionDirectory = "PG_15_202209061";

// A new empty directory of mode 0700, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(std::string_view name) const { return JoinPath(path_, name); }

 private:
  std::string path_;
};

// The error that `call` throws; nothing when it throws none.
[[nodiscard]] std::optional<Error> ErrorOf(const std::function<void()>& call);

// A page with a sound checksum for `block`; its content depends on `seed`.
[[nodiscard]] Bytes MakePage(uint32_t block, uint64_t lsn, uint32_t seed);
// `pages` of them, from block 0.
[[nodiscard]] Bytes MakePages(uint32_t pages, uint64_t lsn, uint32_t seed);
[[nodiscard]] Bytes RandomContent(std::mt19937_64* random, size_t size_bytes);
[[nodiscard]] Bytes MakeWalSegment(uint32_t timeline, uint64_t number, uint32_t seed);

class TestServer : public ServerAccess {
 public:
  explicit TestServer(std::string data_directory) : data_directory_(std::move(data_directory)) {}
  void PausePoint() override {
    ++pauses;
    if (on_pause) on_pause();
  }
  [[nodiscard]] std::optional<Bytes> ReadRelationMap(const std::string& path) override;

  std::function<void()> on_pause;
  std::function<void()> on_relation_map;
  int pauses = 0;
  std::vector<std::string> relation_maps;  // asked for

 private:
  std::string data_directory_;
};

// One entry as it was stored, with its content read back.
struct StoredEntry {
  ManifestEntry entry;
  Bytes content;
};

struct StoredBackup {
  std::vector<StoredEntry> first;
  std::vector<StoredEntry> second;
  ManifestTotals totals;
  // By path; fails the test when there is none.
  [[nodiscard]] const StoredEntry& At(const std::string& path) const;
  [[nodiscard]] bool Has(const std::string& path) const;
  [[nodiscard]] std::vector<std::string> FirstPaths() const;
};

// Reads manifest and frames, checking every digest on the way.
[[nodiscard]] StoredBackup ReadBackup(const Repository& repository, const std::string& backup_id);

// Its first section holds every file of `tree` (BackupTest::ReadTree), byte by byte, and no other.
void ExpectSameTree(const StoredBackup& backup, const std::map<std::string, Bytes>& tree);

// A cluster, a repository, and what a backup needs.
class BackupTest : public testing::Test {
 protected:
  BackupTest();

  void Write(const std::string& path, ByteSpan content) const;
  void Write(const std::string& path, std::string_view text) const { Write(path, AsBytes(text)); }
  void MakeClusterDirectory(const std::string& path) const;
  [[nodiscard]] std::string Disk(const std::string& path) const;
  [[nodiscard]] Bytes ReadDisk(const std::string& path) const;
  // Every file below the data directory, by path.
  [[nodiscard]] std::map<std::string, Bytes> ReadTree() const;

  // A new one of options.backup_id. It publishes kTestWalPosition.
  [[nodiscard]] std::unique_ptr<BackupRun> NewRun();
  // Finishes `run` and reads back what it stored. `record` keeps the record.
  StoredBackup Finish(BackupRun* run);
  // NewRun, CopyCluster, Finish.
  StoredBackup Backup();
  [[nodiscard]] std::vector<std::string> ObjectNames() const;
  // Nothing of any backup is in the repository, temporaries included.
  void ExpectNoObjects() const;

  TemporaryDirectory directory;
  ClusterFacts facts;
  BackupOptions options;
  TestServer server;
  Progress progress;
  Repository repository;
  std::unique_ptr<WriterLock> lock;
  BackupRecord record;
  std::vector<DamagedPage> damaged;
  std::vector<std::string> warnings;
};

}  // namespace backup_ext
