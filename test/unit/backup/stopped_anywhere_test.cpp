// Backup, expiry and drop, stopped hard at each of their changes to the store and started again:
// what was listed is whole, and in the end nothing stays that no list knows.
#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "backup_test_support.h"
#include "base/clock.h"
#include "expire/expiry.h"
#include "format/names.h"
#include "store/catalog.h"
#include "store/directory_store.h"
#include "store/notes.h"
#include "store/stopping_store.h"

namespace backup_ext {
namespace {

constexpr Microseconds kDay = 24LL * 3600 * kMicrosecondsPerSecond;
constexpr RetentionRules kThreeDays = {.retention = 3 * kDay, .keep = 1};
constexpr const char* kSegment = "000000010000000000000003";
constexpr uint64_t kSegmentBytes = 16 * 1024;
constexpr int kMostChanges = 1000;
// By times that lie apart so far a file is known to be the parent's.
constexpr Microseconds kApart = 100'000;

bool HasOwnPack(const BackupRecord& record) {
  return std::ranges::any_of(
      record.packs, [&](const PackUse& use) { return use.pack.backup_id == record.backup_id; });
}

void Wait() { std::this_thread::sleep_for(std::chrono::microseconds(2 * kApart)); }

// A cluster of a few pages; `repository` is what every stopped process finds.
class StoppedAnywhereTest : public BackupTest {
 protected:
  using Operation = std::function<void(const Repository&)>;

  StoppedAnywhereTest() {
    lock.reset();
    options.threads = 1;  // the order of changes is the same each time
    options.keep_interrupted_from_bytes = 0;
    options.untouched_margin = kApart;
    Write("base/5/16384", MakePages(10, 0x1000, 1));
    Write("base/5/16385", MakePages(20, 0x1000, 2));
    MakeClusterDirectory("base/6");
    Write("base/6/pg_filenode.map", "a map");
    Write("pg_wal/" + std::string(kSegment), MakeWalSegment(1, 3, 1));
    Wait();
  }

  // As a server's job does it. The backup is `days` old. Returns the id.
  std::string TakeBackup(const Repository& in, bool is_full = false, int days = 0);
  // The same, cancelled half-way: what it stored is kept.
  void TakeInterrupted(const Repository& in);
  static void Expire(const Repository& in) {
    const auto writer = WriterLock::Acquire(in, "test");
    const std::vector<ExpiryRow> rows = ExpireBackups(in, *writer, kThreeDays, [] {});
    if (std::ranges::any_of(rows, &ExpiryRow::has_failed))
      throw Error(ErrorCode::kIo, "not removed");
  }
  // Those that are still there.
  static void Drop(const Repository& in, const std::vector<std::string>& ids) {
    const auto writer = WriterLock::Acquire(in, "test");
    for (const std::string& id : ids) {
      if (in.store().Open(RecordName(id)) != nullptr) DropBackup(in, *writer, id, true, [] {});
    }
  }

  // Another content of the cluster from here on: some of it is the same.
  void ChangeCluster(uint32_t seed);
  // Runs `operation` in a child on a copy of the repository, once for each place to stop at, and
  // then `again` on what that left. Backups of `kept` must stay.
  void StopEverywhere(const std::set<std::string>& kept, const Operation& operation,
                      const Operation& again);

  // The newest one refers to packs of another, which thus have two users.
  void ExpectSharedPacks() const {
    const BackupRecord newest = FindBackup(repository, "latest");
    EXPECT_TRUE(std::ranges::any_of(
        newest.packs, [&](const PackUse& use) { return use.pack.backup_id != newest.backup_id; }));
  }

 private:
  [[nodiscard]] BackupRecord NewRecord(int days);
  [[nodiscard]] static std::vector<ParentBackup> ParentsIn(const Repository& in);
  // False when the operation came to its end before that place.
  [[nodiscard]] bool StopOnce(int stop, const std::set<std::string>& kept,
                              const Operation& operation, const Operation& again);
  void ExpectListedOnesWhole(const Repository& in, const std::set<std::string>& kept);
  static void ExpectNothingUnlisted(const Repository& in);
  [[nodiscard]] std::map<std::string, Bytes> ReadStoredTree() const {
    std::map<std::string, Bytes> tree = ReadTree();
    tree.erase("pg_wal/" + std::string(kSegment));
    return tree;
  }

  uint64_t lsn_ = 0x1000;  // of the newest pages
  // Of the backups in `repository`. Every other one holds the cluster as it is now.
  std::map<std::string, std::map<std::string, Bytes>> trees_;
};

BackupRecord StoppedAnywhereTest::NewRecord(int days) {
  BackupRecord made;
  made.kind = "full";
  made.trigger = "schedule";
  made.system_identifier = kTestSystemIdentifier;
  made.start_lsn = lsn_ + 0x100;
  made.started_at = Now() - days * kDay;
  made.finished_at = made.started_at + 1;
  made.backup_id = NewBackupId(made.started_at);
  return made;
}

std::vector<ParentBackup> StoppedAnywhereTest::ParentsIn(const Repository& in) {
  std::vector<ParentBackup> parents;
  const Catalog catalog = ReadCatalog(in);
  if (!catalog.backups.empty()) parents.push_back({catalog.backups.front(), false});
  const Microseconds since = parents.empty() ? 0 : parents.front().record.started_at;
  std::vector<ParentBackup> interrupted;
  for (const BackupRecord& ended : ReadInterrupted(in)) {
    if (ended.started_at > since) interrupted.push_back({ended, true});
  }
  parents.insert(parents.begin(), interrupted.begin(), interrupted.end());
  return parents;
}

std::string StoppedAnywhereTest::TakeBackup(const Repository& in, bool is_full, int days) {
  const auto writer = WriterLock::Acquire(in, "test");
  SweepUnreferenced(in);
  BackupRecord made = NewRecord(days);
  options.backup_id = made.backup_id;
  options.begun_at = Now();
  options.parents = is_full ? std::vector<ParentBackup>() : ParentsIn(in);
  {
    BackupRun run(in, facts, options, &server, &progress);
    run.PublishWalPosition(kTestWalPosition);
    run.CopyCluster(made.start_lsn);
    run.PostWalSegment(kSegment, kSegmentBytes);
    run.Finish(&made, *writer);
  }
  DropInterrupted(in);
  return made.backup_id;
}

void StoppedAnywhereTest::TakeInterrupted(const Repository& in) {
  const auto writer = WriterLock::Acquire(in, "test");
  SweepUnreferenced(in);
  BackupRecord made = NewRecord(0);
  options.backup_id = made.backup_id;
  options.begun_at = Now();
  options.parents = ParentsIn(in);
  // Relations before the map are stored by then; a deadline, so that a failure is no hanging test.
  progress.bytes_done = 0;
  server.on_relation_map = [this] {
    const Microseconds end = MonotonicNow() + 10 * kMicrosecondsPerSecond;
    while (progress.bytes_done < 30 * kTestPageBytes && MonotonicNow() < end)
      std::this_thread::yield();
    throw Error(ErrorCode::kCanceled, "canceled");
  };
  BackupRun run(in, facts, options, &server, &progress);
  run.PublishWalPosition(kTestWalPosition);
  const auto error = ErrorOf([&] { run.CopyCluster(made.start_lsn); });
  server.on_relation_map = nullptr;
  if (!error || error->code() != ErrorCode::kCanceled || !run.KeepInterrupted(&made, *writer) ||
      !HasOwnPack(made)) {
    throw Error(ErrorCode::kInternal, "it was to be interrupted and kept");
  }
}

void StoppedAnywhereTest::ChangeCluster(uint32_t seed) {
  for (const BackupRecord& known : ReadCatalog(repository).backups) {
    trees_.try_emplace(known.backup_id, ReadStoredTree());
  }
  Wait();
  lsn_ += 0x1000;
  Bytes pages = MakePages(9, 0x1000, 1);
  const Bytes changed = MakePage(9, lsn_, seed);
  pages.insert(pages.end(), changed.begin(), changed.end());
  Write("base/5/16384", pages);
  Write("base/5/16390", MakePages(1, lsn_, seed));
  Wait();
}

void StoppedAnywhereTest::ExpectListedOnesWhole(const Repository& in,
                                                const std::set<std::string>& kept) {
  const Catalog catalog = ReadCatalog(in);
  for (const UnreadableRecord& unreadable : catalog.unreadable) {
    ADD_FAILURE() << unreadable.backup_id << ": " << unreadable.problem;
  }
  std::set<std::string> left = kept;
  for (const BackupRecord& listed : catalog.backups) {
    SCOPED_TRACE("backup " + listed.backup_id);
    left.erase(listed.backup_id);
    try {
      const auto known = trees_.find(listed.backup_id);
      ExpectSameTree(ReadBackup(in, listed.backup_id),
                     known == trees_.end() ? ReadStoredTree() : known->second);
    } catch (const Error& error) {
      ADD_FAILURE() << error.message();
    }
  }
  EXPECT_THAT(left, testing::IsEmpty()) << "lost";
}

// Walks over the files themselves: temporaries and empty directories are in no listing of a store.
void StoppedAnywhereTest::ExpectNothingUnlisted(const Repository& in) {
  std::set<std::string> wanted = {std::string(kRepositoryObject), "locks/writer.lock"};
  for (const BackupRecord& listed : ReadCatalog(in).backups) {
    for (const auto& prefix : {BackupPrefix(listed.backup_id), PackPrefix(listed.backup_id)}) {
      wanted.insert(prefix.substr(0, prefix.size() - 1));
    }
    wanted.insert(RecordName(listed.backup_id));
    wanted.insert(ManifestName(listed.backup_id));
    for (const PackUse& use : listed.packs) {
      wanted.insert(PackName(use.pack));
      wanted.insert(ParentDirectory(PackName(use.pack)));
    }
  }
  for (const auto& found : std::filesystem::recursive_directory_iterator(in.location())) {
    const std::string name = found.path().string().substr(in.location().size() + 1);
    const bool is_top = found.is_directory() && name.find('/') == std::string::npos;
    EXPECT_TRUE(is_top || wanted.contains(name)) << "nobody wants " << name;
  }
}

bool StoppedAnywhereTest::StopOnce(int stop, const std::set<std::string>& kept,
                                   const Operation& operation, const Operation& again) {
  const std::string location = directory / "copy";
  std::filesystem::remove_all(location);
  std::filesystem::copy(repository.location(), location, std::filesystem::copy_options::recursive);
  const pid_t child = fork();
  if (child == 0) {
    const auto error = ErrorOf([&] {
      operation(Repository::Open(
          location, std::make_unique<StoppingStore>(OpenDirectoryStore(location), stop)));
    });
    if (error) std::fprintf(stderr, "%s\n", error->message().c_str());
    _exit(error ? 1 : 0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << status;
  EXPECT_THAT(WEXITSTATUS(status), testing::AnyOf(0, kStoppedStatus));

  const Repository left = Repository::Open(location);
  ExpectListedOnesWhole(left, kept);
  const auto error = ErrorOf([&] { again(left); });
  EXPECT_FALSE(error) << error->message();
  ExpectListedOnesWhole(left, kept);
  ExpectNothingUnlisted(left);
  return WEXITSTATUS(status) == kStoppedStatus;
}

void StoppedAnywhereTest::StopEverywhere(const std::set<std::string>& kept,
                                         const Operation& operation, const Operation& again) {
  ExpectListedOnesWhole(repository, kept);
  int change = 0;
  bool has_stopped = true;
  while (has_stopped && !HasFailure() && change < kMostChanges) {
    ++change;
    SCOPED_TRACE(fmt::format("stopped before change {}", change));
    has_stopped = StopOnce(change, kept, operation, again);
  }
  // The last run came to its end: that is the stop after the last change.
  EXPECT_LT(change, kMostChanges);
  EXPECT_GT(change, 6) << "so few changes are no such operation";
}

TEST_F(StoppedAnywhereTest, FullBackup) {
  const std::string first = TakeBackup(repository);
  ChangeCluster(7);
  StopEverywhere(
      {first}, [&](const Repository& in) { TakeBackup(in, true); },
      [&](const Repository& in) { TakeBackup(in, true); });
}

TEST_F(StoppedAnywhereTest, IncrementalBackup) {
  const std::string first = TakeBackup(repository);
  ChangeCluster(7);
  TakeInterrupted(repository);
  StopEverywhere(
      {first}, [&](const Repository& in) { TakeBackup(in); },
      [&](const Repository& in) { TakeBackup(in); });
}

TEST_F(StoppedAnywhereTest, KeepingAnInterruptedBackup) {
  const std::string first = TakeBackup(repository);
  ChangeCluster(7);
  StopEverywhere(
      {first}, [&](const Repository& in) { TakeInterrupted(in); },
      [&](const Repository& in) { TakeBackup(in); });
}

TEST_F(StoppedAnywhereTest, Expiry) {
  TakeBackup(repository, true, 20);
  ChangeCluster(7);
  const std::string second = TakeBackup(repository, false, 10);
  AddPinNote(repository, second, {Now() - 2, Now() - 1});
  ChangeCluster(8);
  const std::string newest = TakeBackup(repository);
  ExpectSharedPacks();
  ChangeCluster(9);
  StopEverywhere({newest}, Expire, Expire);
  EXPECT_EQ(ReadCatalog(Repository::Open(directory / "copy")).backups.size(), 1U);
}

// The second one takes along what the first left to it.
TEST_F(StoppedAnywhereTest, Drop) {
  const std::string first = TakeBackup(repository, true, 2);
  ChangeCluster(7);
  const std::string second = TakeBackup(repository, false, 1);
  ExpectSharedPacks();
  AddPinNote(repository, second, {Now() - 2, Now() - 1});
  ChangeCluster(8);
  const std::string newest = TakeBackup(repository, true);
  const auto drop_both = [&](const Repository& in) { Drop(in, {first, second}); };
  StopEverywhere({newest}, drop_both, [&](const Repository& in) {
    drop_both(in);
    const auto writer = WriterLock::Acquire(in, "test");
    SweepUnreferenced(in);  // as the next run does
  });
}

}  // namespace
}  // namespace backup_ext
