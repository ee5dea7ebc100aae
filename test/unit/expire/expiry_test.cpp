// Expiry on real repositories: the plan comes true, what is read or pinned stays, crashes harm
// none.
#include "expire/expiry.h"

#include <linux/capability.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <map>
#include <random>
#include <set>

#include "store/store_test_support.h"

namespace backup_ext {
namespace {

constexpr Microseconds kDay = 24LL * 3600 * kMicrosecondsPerSecond;
constexpr RetentionRules kThreeDays = {.retention = 3 * kDay, .keep = 1};

// Without it root may do what a mode forbids.
void ObeyModes() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) _exit(9);
  data[0].effective &= ~(1U << CAP_DAC_OVERRIDE);
  if (syscall(SYS_capset, &header, data) != 0) _exit(9);
}

class ExpiryTest : public testing::Test {
 protected:
  ObjectStore& store() { return repository_.store(); }

  PackId PutPack(const std::string& backup_id, uint32_t number, size_t size_bytes = 100) {
    PackId pack = {backup_id, 0, number};
    store().Put(PackName(pack), RandomBytes(size_bytes));
    return pack;
  }
  // A backup that ended `days` ago, with a pack of its own; it also uses `others`.
  std::string PutBackup(int days, const std::vector<PackId>& others = {},
                        const std::string& state = "complete") {
    BackupRecord record = TestRecord(TestBackupId(1), others);
    record.finished_at = Now() - days * kDay;
    record.started_at = record.finished_at - kMicrosecondsPerSecond;
    record.backup_id = NewBackupId(record.started_at);
    record.state = state;
    record.trigger = "schedule";
    record.packs.push_back({PutPack(record.backup_id, 0), 100, 100});
    store().Put(ManifestName(record.backup_id), AsBytes("manifest"));
    CommitBackup(repository_, record);
    return record.backup_id;
  }
  void Pin(const std::string& backup_id, Microseconds until = kPinnedForEver) {
    AddPinNote(repository_, backup_id, {Now(), until});
  }
  std::vector<ExpiryRow> Expire(const RetentionRules& rules = kThreeDays) {
    const auto lock = WriterLock::Acquire(repository_, "a test");
    return ExpireBackups(repository_, *lock, rules, [] {});
  }
  std::string Drop(const std::string& backup_id, bool force = false) {
    const auto lock = WriterLock::Acquire(repository_, "a test");
    return DropBackup(repository_, *lock, backup_id, force, [] {});
  }
  std::set<std::string> Listed() {
    std::set<std::string> ids;
    for (const BackupRecord& record : ReadCatalog(repository_).backups) {
      ids.insert(record.backup_id);
    }
    return ids;
  }
  uint64_t StoredBytes() {
    uint64_t bytes = 0;
    for (const std::string_view prefix : {kBackupsPrefix, kPacksPrefix}) {
      for (const ObjectInfo& object : store().List(std::string(prefix))) bytes += object.size_bytes;
    }
    return bytes;
  }
  bool Has(const std::string& name) { return store().Open(name) != nullptr; }
  void ExpectListedOnesWhole() {
    for (const BackupRecord& record : ReadCatalog(repository_).backups) {
      EXPECT_TRUE(Has(ManifestName(record.backup_id))) << record.backup_id;
      for (const PackUse& use : record.packs) EXPECT_TRUE(Has(PackName(use.pack)));
    }
  }
  void ExpectNothingUnlisted() {
    std::set<std::string> wanted = {std::string(kRepositoryObject), "locks/writer.lock"};
    for (const BackupRecord& record : ReadCatalog(repository_).backups) {
      for (const ObjectInfo& object : store().List(BackupPrefix(record.backup_id))) {
        wanted.insert(object.name);
      }
      for (const PackUse& use : record.packs) wanted.insert(PackName(use.pack));
    }
    for (const ObjectInfo& object : store().List("")) {
      EXPECT_TRUE(wanted.contains(object.name)) << object.name;
    }
  }

  TemporaryDirectory top_;
  std::string location_ = top_ / "repository";
  Repository repository_ = MakeTestRepository(location_);
};

const ExpiryRow& RowOf(const std::vector<ExpiryRow>& rows, const std::string& backup_id) {
  return *std::ranges::find(rows, backup_id, &ExpiryRow::backup_id);
}

TEST_F(ExpiryTest, LeavesWordOfDamageWhenTheDamagedBackupGoes) {
  const std::string full = PutBackup(2);
  const PackId shared = {full, 0, 0};
  const std::string middle = PutBackup(1, {shared}), apart = PutBackup(1);
  const std::string newest = PutBackup(0, {shared});
  AddVerifyNote(repository_, newest, {Now(), 1, "a: b", 1});
  Drop(newest);
  EXPECT_TRUE(IsSuspect(ReadNotes(repository_, middle)));
  EXPECT_TRUE(IsSuspect(ReadNotes(repository_, full)));
  EXPECT_FALSE(IsSuspect(ReadNotes(repository_, apart)));
}

// The older ones are kept for its sake, however late it comes out.
TEST_F(ExpiryTest, RemovesNothingForABackupOfWhichNobodyKnowsWhatWasFound) {
  const std::string newest = PutBackup(0), old = PutBackup(9);
  AddVerifyNote(repository_, newest, {Now(), 1, "a: b", 1});
  for (const ObjectInfo& object : store().List(BackupPrefix(newest))) {
    if (!object.name.ends_with(".json") || object.name.ends_with("record.json")) continue;
    const std::string path = location_ + "/" + object.name;
    std::string text = ReadText(path);
    text[text.size() / 2] ^= 1;
    WriteFileDurably(path, AsBytes(text));
  }
  static_cast<void>(Expire());
  EXPECT_THAT(Listed(), testing::UnorderedElementsAre(newest, old));
}

TEST_F(ExpiryTest, RemovesWhatIsTooOldAndSaysWhy) {
  const std::string newest = PutBackup(0), young = PutBackup(2), old = PutBackup(9);
  const std::vector<ExpiryRow> rows = Expire();
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].backup_id, newest);
  EXPECT_EQ(rows[0].because, "it is the newest good backup");
  EXPECT_TRUE(RowOf(rows, old).removed);
  EXPECT_THAT(Listed(), testing::UnorderedElementsAre(newest, young));
  EXPECT_THAT(store().List(PackPrefix(old)), testing::IsEmpty());
  ExpectNothingUnlisted();
}

TEST_F(ExpiryTest, ThePlanComesTrue) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 8; ++round) {
    std::vector<PackId> packs;
    for (int i = 0; i < 8; ++i) {
      std::vector<PackId> others;
      for (const PackId& pack : packs) {
        if (random() % 3 == 0 && Has(PackName(pack))) others.push_back(pack);
      }
      const std::string id = PutBackup(static_cast<int>(random() % 12), others,
                                       random() % 5 == 0 ? "damaged" : "complete");
      packs.push_back({id, 0, 0});
      if (random() % 6 == 0) Pin(id);
    }
    const std::vector<ExpiryRow> plan = PlanExpiry(repository_, kThreeDays);
    uint64_t planned_bytes = 0;
    for (const ExpiryRow& row : plan) planned_bytes += row.freed_bytes;
    const uint64_t before = StoredBytes();
    const std::vector<ExpiryRow> rows = Expire();
    ASSERT_EQ(rows.size(), plan.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(rows[i].backup_id, plan[i].backup_id);
      EXPECT_EQ(rows[i].removed, plan[i].removed);
      EXPECT_EQ(rows[i].because, plan[i].because);
      EXPECT_EQ(rows[i].freed_bytes, plan[i].freed_bytes);
    }
    EXPECT_EQ(before - StoredBytes(), planned_bytes);
    ExpectListedOnesWhole();
    ExpectNothingUnlisted();
  }
}

TEST_F(ExpiryTest, PlanningChangesNothing) {
  PutBackup(0);
  PutBackup(9);
  const uint64_t before = StoredBytes();
  EXPECT_TRUE(PlanExpiry(repository_, kThreeDays)[1].removed);
  EXPECT_EQ(StoredBytes(), before);
  EXPECT_EQ(Listed().size(), 2U);
}

TEST_F(ExpiryTest, WhatIsReadStaysAndTheOthersGo) {
  PutBackup(0);
  const std::string read = PutBackup(8), old = PutBackup(9);
  {
    const BackupHold hold = BackupHold::Take(repository_, read);
    EXPECT_EQ(RowOf(PlanExpiry(repository_, kThreeDays), read).removed, false);
    const std::vector<ExpiryRow> rows = Expire();
    EXPECT_FALSE(RowOf(rows, read).removed);
    EXPECT_TRUE(RowOf(rows, read).has_failed);
    EXPECT_EQ(RowOf(rows, read).because, "it is to be removed, but is being read");
    EXPECT_TRUE(RowOf(rows, old).removed);
    ExpectListedOnesWhole();
  }
  EXPECT_TRUE(RowOf(Expire(), read).removed);
}

TEST_F(ExpiryTest, WhatAVerifyFoundDamagedIsNoGoodBackup) {
  const std::string newest = PutBackup(0), old = PutBackup(30);
  AddVerifyNote(repository_, newest, {Now(), 1, "base/1: damaged", 10});
  EXPECT_FALSE(RowOf(Expire(), old).removed);
  AddVerifyNote(repository_, newest, {Now(), 0, "", 10});
  EXPECT_TRUE(RowOf(Expire(), old).removed);
}

TEST_F(ExpiryTest, AnUnreadableRecordStaysAndIsTold) {
  PutBackup(0);
  const std::string old = PutBackup(9), broken = PutBackup(10);
  WriteFileDurably(location_ + "/" + RecordName(broken), AsBytes("rubbish"));
  const std::vector<ExpiryRow> rows = Expire();
  EXPECT_EQ(rows.back().backup_id, broken);
  EXPECT_THAT(rows.back().because, testing::StartsWith("its record cannot be read: "));
  EXPECT_TRUE(RowOf(rows, old).removed);
  EXPECT_FALSE(store().List(PackPrefix(old)).empty());  // it may be listed there
  EXPECT_FALSE(store().List(PackPrefix(broken)).empty());
}

TEST_F(ExpiryTest, ABackupThatCannotBeRemovedKeepsItsPacksAndTheOthersGo) {
  PutBackup(0);
  const std::string shared = PutBackup(7), stuck = PutBackup(8, {{shared, 0, 0}});
  const std::string old = PutBackup(9);
  const std::string directory = location_ + "/" + BackupPrefix(stuck);
  ASSERT_EQ(chmod(directory.c_str(), 0500), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ObeyModes();
    const std::vector<ExpiryRow> rows = Expire();
    const ExpiryRow& row = RowOf(rows, stuck);
    const bool right = !row.removed && row.has_failed &&
                       row.because.find("that failed: could not") != std::string::npos &&
                       RowOf(rows, old).removed && RowOf(rows, shared).removed;
    _exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(chmod(directory.c_str(), 0700), 0);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(Listed().contains(stuck));
  ExpectListedOnesWhole();
  EXPECT_TRUE(RowOf(Expire(), stuck).removed);
  ExpectNothingUnlisted();
}

TEST_F(ExpiryTest, APinThatComesAfterTheDecisionStillCounts) {
  PutBackup(0);
  const std::string old = PutBackup(9);
  const auto lock = WriterLock::Acquire(repository_, "a test");
  const std::vector<ExpiryRow> rows =
      ExpireBackups(repository_, *lock, kThreeDays, [&] { Pin(old); });
  EXPECT_FALSE(RowOf(rows, old).removed);
  EXPECT_EQ(RowOf(rows, old).because, "it is pinned");
  EXPECT_TRUE(Listed().contains(old));
  ExpectListedOnesWhole();
}

TEST_F(ExpiryTest, StopsBetweenTwoRemovals) {
  PutBackup(0);
  PutBackup(8);
  const std::string oldest = PutBackup(9);
  const auto lock = WriterLock::Acquire(repository_, "a test");
  int calls = 0;
  EXPECT_ERROR(ExpireBackups(repository_, *lock, kThreeDays,
                             [&] {
                               if (++calls == 2) throw Error(ErrorCode::kCanceled, "stop");
                             }),
               ErrorCode::kCanceled, "stop");
  EXPECT_EQ(Listed().size(), 2U);
  EXPECT_FALSE(Listed().contains(oldest));
  ExpectNothingUnlisted();
}

TEST_F(ExpiryTest, DroppingRefusesTheNewestGoodOneUnlessForced) {
  const std::string newest = PutBackup(1), damaged = PutBackup(0, {}, "damaged");
  EXPECT_ERROR(Drop(newest), ErrorCode::kNotInPrerequisiteState, "it is the newest good one");
  EXPECT_ERROR(Drop("latest"), ErrorCode::kNotInPrerequisiteState, "it is the newest good one");
  EXPECT_EQ(Drop(damaged), damaged);
  EXPECT_EQ(Drop("latest", true), newest);
  EXPECT_ERROR(Drop(newest), ErrorCode::kNotFound, "does not exist");
  EXPECT_ERROR(Drop("nonsense"), ErrorCode::kInvalidArgument, "is not a backup ID");
  ExpectNothingUnlisted();
}

TEST_F(ExpiryTest, DroppingRefusesPinnedHeldAndUnreadableOnes) {
  PutBackup(0);
  const std::string pinned = PutBackup(1), held = PutBackup(2), broken = PutBackup(3);
  Pin(pinned);
  EXPECT_ERROR(Drop(pinned, true), ErrorCode::kNotInPrerequisiteState, "because it is pinned");
  Pin(pinned, Now() - 1);
  EXPECT_EQ(Drop(pinned), pinned);
  {
    const BackupHold hold = BackupHold::Take(repository_, held);
    EXPECT_ERROR(Drop(held, true), ErrorCode::kLocked, "is being read");
  }
  EXPECT_EQ(Drop(held), held);
  WriteFileDurably(location_ + "/" + RecordName(broken), AsBytes("rubbish"));
  EXPECT_ERROR(Drop(broken), ErrorCode::kNotInPrerequisiteState, "its record cannot be read");
  EXPECT_EQ(Drop(broken, true), broken);
  ExpectNothingUnlisted();
}

// Killed at any moment: what is listed is whole, and the next run leaves nothing unlisted.
TEST_F(ExpiryTest, SurvivesBeingKilled) {
  int cut_short = 0;
  for (int delay_us = 0; delay_us < 6000; delay_us += 300) {
    SCOPED_TRACE(delay_us);
    const std::string base = PutBackup(9);
    for (int days = 8; days > 4; --days) PutBackup(days, {{base, 0, 0}});
    PutBackup(0, {{base, 0, 0}});
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      static_cast<void>(Expire());
      _exit(0);
    }
    usleep(static_cast<useconds_t>(delay_us));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) ++cut_short;
    ExpectListedOnesWhole();
    static_cast<void>(Expire());
    ExpectListedOnesWhole();
    ExpectNothingUnlisted();
  }
  EXPECT_GT(cut_short, 0);
}

}  // namespace
}  // namespace backup_ext
