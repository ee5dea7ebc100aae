// The catalog: records found, added, removed, and what crashes leave swept.
#include "store/catalog.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "store/store_test_support.h"

namespace backup_ext {
namespace {

class CatalogTest : public testing::Test {
 protected:
  ObjectStore& store() { return repository_.store(); }

  PackId PutPack(const std::string& backup_id, uint32_t number, size_t size_bytes = 10) {
    PackId pack = {backup_id, 0, number};
    store().Put(PackName(pack), RandomBytes(size_bytes));
    return pack;
  }
  // A backup with one pack of its own that also uses `others`.
  PackId PutBackup(const std::string& backup_id, const std::vector<PackId>& others = {}) {
    const PackId own = PutPack(backup_id, 0);
    store().Put(ManifestName(backup_id), AsBytes("manifest"));
    std::vector<PackId> packs = others;
    packs.push_back(own);
    CommitBackup(repository_, TestRecord(backup_id, packs));
    return own;
  }
  // What was kept of a backup that ended early; it also uses `others`.
  PackId PutInterrupted(const std::string& backup_id, const std::vector<PackId>& others = {}) {
    const PackId own = PutPack(backup_id, 0);
    store().Put(ManifestName(backup_id), AsBytes("manifest"));
    std::vector<PackId> packs = others;
    packs.push_back(own);
    BackupRecord record = TestRecord(backup_id, packs);
    record.state = "interrupted";
    CommitInterrupted(repository_, record);
    return own;
  }
  std::vector<std::string> InterruptedIds() {
    std::vector<std::string> ids;
    for (const BackupRecord& record : ReadInterrupted(repository_)) ids.push_back(record.backup_id);
    return ids;
  }
  void DamageRecord(const std::string& backup_id) {
    const std::string path = location_ + "/" + RecordName(backup_id);
    std::string text = ReadText(path);
    text[text.size() / 2] ^= 1;
    WriteFileDurably(path, AsBytes(text));
  }
  std::vector<std::string> IdsOf(const Catalog& catalog) {
    std::vector<std::string> ids;
    for (const BackupRecord& record : catalog.backups) ids.push_back(record.backup_id);
    return ids;
  }
  uint64_t StoredBytes() {
    uint64_t bytes = 0;
    for (const ObjectInfo& object : store().List("")) bytes += object.size_bytes;
    return bytes;
  }
  bool Has(const std::string& name) { return store().Open(name) != nullptr; }

  TemporaryDirectory top_;
  std::string location_ = top_ / "repository";
  Repository repository_ = MakeTestRepository(location_);
  const std::string a_ = TestBackupId(1), b_ = TestBackupId(2), c_ = TestBackupId(3);
};

TEST_F(CatalogTest, IsEmptyAtFirst) {
  const Catalog catalog = ReadCatalog(repository_);
  EXPECT_TRUE(catalog.backups.empty());
  EXPECT_TRUE(catalog.unreadable.empty());
}

TEST_F(CatalogTest, ShowsTheNewestFirst) {
  PutBackup(b_);
  PutBackup(a_);
  PutBackup(c_);
  EXPECT_THAT(IdsOf(ReadCatalog(repository_)), testing::ElementsAre(c_, b_, a_));
  EXPECT_EQ(FindBackup(repository_, b_), ReadCatalog(repository_).backups[1]);
}

TEST_F(CatalogTest, ShowsOnlyWhatHasARecord) {
  PutPack(a_, 0);
  store().Put(ManifestName(a_), AsBytes("manifest"));
  store().Put("backups/README", AsBytes("x"));
  store().Put("backups/other/record.json", AsBytes("x"));
  const Catalog catalog = ReadCatalog(repository_);
  EXPECT_TRUE(catalog.backups.empty());
  EXPECT_TRUE(catalog.unreadable.empty());
}

TEST_F(CatalogTest, ShowsTheOthersBesideARecordThatCannotBeRead) {
  PutBackup(a_);
  PutBackup(b_);
  PutBackup(c_);
  DamageRecord(b_);
  const Catalog catalog = ReadCatalog(repository_);
  EXPECT_THAT(IdsOf(catalog), testing::ElementsAre(c_, a_));
  ASSERT_EQ(catalog.unreadable.size(), 1U);
  EXPECT_EQ(catalog.unreadable[0].backup_id, b_);
  EXPECT_FALSE(catalog.unreadable[0].problem.empty());
  EXPECT_ERROR(FindBackup(repository_, b_), ErrorCode::kDamaged, b_);
}

TEST_F(CatalogTest, DoesNotBelieveARecordInAnotherPlace) {
  store().Put(RecordName(b_), AsBytes(EncodeRecord(TestRecord(a_, {}))));
  BackupRecord foreign = TestRecord(c_, {});
  foreign.system_identifier = 42;
  store().Put(RecordName(c_), AsBytes(EncodeRecord(foreign)));
  const Catalog catalog = ReadCatalog(repository_);
  EXPECT_TRUE(catalog.backups.empty());
  ASSERT_EQ(catalog.unreadable.size(), 2U);
  EXPECT_THAT(catalog.unreadable[0].problem, testing::HasSubstr(a_));
  EXPECT_THAT(catalog.unreadable[1].problem, testing::HasSubstr("42"));
}

TEST_F(CatalogTest, FindsTheLatestCompleteBackup) {
  PutBackup(a_);
  BackupRecord damaged = TestRecord(b_, {});
  damaged.state = "damaged";
  CommitBackup(repository_, damaged);
  EXPECT_EQ(FindBackup(repository_, "latest").backup_id, a_);
  EXPECT_EQ(FindBackup(repository_, b_).state, "damaged");

  RemoveBackup(repository_, a_);
  const std::optional<Error> error =
      ErrorOf([&] { static_cast<void>(FindBackup(repository_, "latest")); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kNotFound);
  EXPECT_THAT(error->hint(), testing::HasSubstr("Only damaged backups exist"));
  EXPECT_THAT(error->hint(), testing::HasSubstr(b_));
}

TEST_F(CatalogTest, SaysThatThereIsNoBackup) {
  EXPECT_ERROR(FindBackup(repository_, "latest"), ErrorCode::kNotFound, "no complete backup");
  EXPECT_ERROR(FindBackup(repository_, a_), ErrorCode::kNotFound, a_);
  for (const char* id : {"", "Latest", "../x", "20261123-010000-0000000g"}) {
    EXPECT_ERROR(FindBackup(repository_, id), ErrorCode::kInvalidArgument, "not a backup ID");
    EXPECT_ERROR(RemoveBackup(repository_, id), ErrorCode::kInvalidArgument, "not a backup ID");
  }
}

TEST_F(CatalogTest, CommitsABackupOnce) {
  PutBackup(a_);
  EXPECT_ERROR(CommitBackup(repository_, TestRecord(a_, {})), ErrorCode::kAlreadyExists, a_);
  BackupRecord foreign = TestRecord(b_, {});
  foreign.system_identifier = 42;
  EXPECT_ERROR(CommitBackup(repository_, foreign), ErrorCode::kWrongCluster, "another cluster");
  EXPECT_FALSE(Has(RecordName(b_)));
}

TEST_F(CatalogTest, RemovesABackupButNotThePacksThatOthersUse) {
  const PackId used = PutPack(a_, 7);
  const PackId own = PutBackup(a_, {used});
  store().Put(BackupPrefix(a_) + "pin-1.json", AsBytes("{}"));
  PutBackup(b_, {used});
  RemoveBackup(repository_, a_);
  EXPECT_THAT(IdsOf(ReadCatalog(repository_)), testing::ElementsAre(b_));
  EXPECT_THAT(store().List(BackupPrefix(a_)), testing::IsEmpty());
  EXPECT_FALSE(Has(PackName(own)));
  EXPECT_TRUE(Has(PackName(used)));
  EXPECT_TRUE(Has(PackName({b_, 0, 0})));

  RemoveBackup(repository_, a_);  // again, as after a crash
  EXPECT_TRUE(Has(PackName(used)));
  RemoveBackup(repository_, b_);
  SweepUnreferenced(repository_);
  EXPECT_THAT(NamesOf(store().List("")), testing::ElementsAre("repository.json"));
}

TEST_F(CatalogTest, KeepsAllPacksWhileARecordCannotBeRead) {
  const PackId own = PutBackup(a_);
  PutBackup(b_, {own});
  DamageRecord(b_);
  RemoveBackup(repository_, a_);
  EXPECT_FALSE(Has(RecordName(a_)));
  EXPECT_TRUE(Has(PackName(own)));
}

TEST_F(CatalogTest, RemovesABackupWhoseOwnRecordIsDamaged) {
  PutBackup(a_);
  DamageRecord(a_);
  RemoveBackup(repository_, a_);
  EXPECT_THAT(NamesOf(store().List("")), testing::ElementsAre("repository.json"));
}

TEST_F(CatalogTest, SweepsWhatNoRecordWants) {
  const PackId kept = PutPack(a_, 5, 1000);  // of a backup that is gone, used by another
  PutPack(a_, 6, 200);
  store().Put(ManifestName(a_), RandomBytes(30));
  PutBackup(b_, {kept});
  PutPack(c_, 0, 4000);
  WriteFileDurably(location_ + "/tmp/0123456789abcdef.tmp", AsBytes("half"));
  store().Put("history/2026/11/job-x.json", AsBytes("{}"));
  const std::vector<std::string> expected = {
      ManifestName(b_), RecordName(b_),       "history/2026/11/job-x.json",
      PackName(kept),   PackName({b_, 0, 0}), "repository.json"};
  EXPECT_EQ(SweepUnreferenced(repository_), 4230U);
  EXPECT_EQ(NamesOf(store().List("")), expected);
  EXPECT_THAT(EntriesOf(location_ + "/tmp"), testing::IsEmpty());
  EXPECT_THAT(EntriesOf(location_ + "/packs"), testing::ElementsAre(a_, b_));
  EXPECT_EQ(SweepUnreferenced(repository_), 0U);
}

TEST_F(CatalogTest, SweepsOnlyTemporariesWhileARecordCannotBeRead) {
  PutPack(a_, 0);
  PutBackup(b_);
  DamageRecord(b_);
  WriteFileDurably(location_ + "/tmp/0123456789abcdef.tmp", AsBytes("half"));
  const std::vector<std::string> before = NamesOf(store().List(""));
  EXPECT_EQ(SweepUnreferenced(repository_), 0U);
  EXPECT_EQ(NamesOf(store().List("")), before);
  EXPECT_THAT(EntriesOf(location_ + "/tmp"), testing::IsEmpty());
}

// b uses a pack of a, c one of b: each pack goes with its last user, whoever wrote it.
TEST_F(CatalogTest, APackGoesWithItsLastUser) {
  const PackId of_a = PutBackup(a_);
  const PackId of_b = PutBackup(b_, {of_a});
  PutBackup(c_, {of_b});
  RemoveBackup(repository_, a_);
  EXPECT_TRUE(Has(PackName(of_a)));
  RemoveBackup(repository_, b_);
  EXPECT_FALSE(Has(PackName(of_a)));
  EXPECT_TRUE(Has(PackName(of_b)));
  RemoveBackup(repository_, c_);
  EXPECT_THAT(store().List(std::string(kPacksPrefix)), testing::IsEmpty());
  EXPECT_THAT(store().List(std::string(kBackupsPrefix)), testing::IsEmpty());
}

TEST_F(CatalogTest, ABackupThatIsReadIsNotRemoved) {
  PutBackup(a_);
  const std::vector<std::string> before = NamesOf(store().List(""));
  {
    const BackupHold hold = BackupHold::Take(repository_, a_);
    EXPECT_ERROR(RemoveBackup(repository_, a_), ErrorCode::kLocked, "is being read");
    EXPECT_EQ(NamesOf(store().List("")), before);
  }
  RemoveBackup(repository_, a_);
  EXPECT_THAT(store().List(std::string(kPacksPrefix)), testing::IsEmpty());
}

// What is told beforehand is what goes, in every order.
TEST_F(CatalogTest, TellsBeforehandWhatARemovalFrees) {
  std::vector<std::string> ids = {a_, b_, c_};
  do {
    SCOPED_TRACE(ids[0] + ", " + ids[1] + ", " + ids[2]);
    const PackId of_a = PutBackup(a_);
    PutPack(a_, 7, 1000);  // listed by nobody
    const PackId of_b = PutBackup(b_, {of_a, PutPack(b_, 5, 333)});
    PutBackup(c_, {of_a, of_b});
    store().Put(NoteName({b_, "pin", 1}), AsBytes("a note"));
    Catalog catalog = ReadCatalog(repository_);
    const std::vector<uint64_t> told = BytesToFree(repository_, catalog, ids);
    for (size_t i = 0; i < ids.size(); ++i) {
      const uint64_t before = StoredBytes();
      const std::optional<RemovalHold> hold = RemovalHold::TryTake(repository_, ids[i]);
      ASSERT_TRUE(hold);
      EXPECT_EQ(RemoveBackup(repository_, *hold, &catalog), told[i]);
      EXPECT_EQ(before - StoredBytes(), told[i]);
    }
    EXPECT_TRUE(catalog.backups.empty());
    EXPECT_THAT(store().List(std::string(kPacksPrefix)), testing::IsEmpty());
  } while (std::ranges::next_permutation(ids).found);
}

TEST_F(CatalogTest, TellsThatNoPackGoesWhileARecordIsUnreadable) {
  const PackId own = PutBackup(a_);
  PutBackup(b_);
  DamageRecord(b_);
  Catalog catalog = ReadCatalog(repository_);
  const std::vector<uint64_t> told = BytesToFree(repository_, catalog, {a_});
  const uint64_t before = StoredBytes();
  RemoveBackup(repository_, a_);
  EXPECT_EQ(before - StoredBytes(), told[0]);
  EXPECT_TRUE(Has(PackName(own)));
}

// Whenever a removal stops: what is still listed is whole, what others use is there, and doing it
// again ends it.
TEST_F(CatalogTest, SurvivesARemovalThatIsKilled) {
  const PackId shared = PutBackup(TestBackupId(0));
  for (int delay_us = 0; delay_us < 4000; delay_us += 100) {
    SCOPED_TRACE(delay_us);
    std::vector<PackId> packs = {shared};
    for (uint32_t number = 1; number < 10; number++) packs.push_back(PutPack(a_, number));
    PutBackup(a_, packs);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      RemoveBackup(repository_, a_);
      _exit(0);
    }
    usleep(static_cast<useconds_t>(delay_us));
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);

    for (const BackupRecord& record : ReadCatalog(repository_).backups) {
      EXPECT_TRUE(Has(ManifestName(record.backup_id)));
      for (const PackUse& use : record.packs) EXPECT_TRUE(Has(PackName(use.pack)));
    }
    RemoveBackup(repository_, a_);
    EXPECT_THAT(store().List(PackPrefix(a_)), testing::IsEmpty());
    EXPECT_THAT(store().List(BackupPrefix(a_)), testing::IsEmpty());
    EXPECT_TRUE(Has(PackName(shared)));
  }
}

TEST_F(CatalogTest, KeepsInterruptedBackupsOutOfTheList) {
  const PackId shared = PutBackup(a_);
  const PackId own = PutInterrupted(b_, {shared});
  EXPECT_THAT(IdsOf(ReadCatalog(repository_)), testing::ElementsAre(a_));
  EXPECT_ERROR(FindBackup(repository_, b_), ErrorCode::kNotFound, "does not exist");
  EXPECT_THAT(InterruptedIds(), testing::ElementsAre(b_));
  // It is no rubbish, and what it refers to stays with it.
  EXPECT_EQ(SweepUnreferenced(repository_), 0U);
  RemoveBackup(repository_, a_);
  EXPECT_TRUE(Has(PackName(shared)));
  EXPECT_EQ(SweepUnreferenced(repository_), 0U);
  EXPECT_TRUE(Has(PackName(own)));
  EXPECT_THAT(InterruptedIds(), testing::ElementsAre(b_));
}

TEST_F(CatalogTest, KeepsTheNewestInterruptedBackups) {
  std::vector<PackId> packs;
  for (int hour = 0; hour < 5; ++hour) packs.push_back(PutInterrupted(TestBackupId(hour)));
  EXPECT_GT(SweepUnreferenced(repository_), 0U);
  EXPECT_THAT(InterruptedIds(),
              testing::ElementsAre(TestBackupId(4), TestBackupId(3), TestBackupId(2)));
  for (size_t hour = 0; hour < 5; ++hour) EXPECT_EQ(Has(PackName(packs[hour])), hour >= 2);
}

TEST_F(CatalogTest, DropsInterruptedBackupsButNotWhatOthersTookOver) {
  const PackId taken = PutInterrupted(a_);
  const PackId other = PutInterrupted(b_);
  PutBackup(c_, {taken});
  DropInterrupted(repository_);
  EXPECT_THAT(InterruptedIds(), testing::IsEmpty());
  EXPECT_TRUE(Has(PackName(taken)));
  EXPECT_FALSE(Has(PackName(other)));
  EXPECT_FALSE(Has(ManifestName(a_)));
  EXPECT_THAT(IdsOf(ReadCatalog(repository_)), testing::ElementsAre(c_));
}

TEST_F(CatalogTest, TakesACompleteBackupForNoInterruptedOne) {
  PutBackup(a_);
  CommitInterrupted(repository_, TestRecord(a_, {}));
  EXPECT_THAT(InterruptedIds(), testing::IsEmpty());
  DropInterrupted(repository_);
  EXPECT_TRUE(Has(RecordName(a_)));
  EXPECT_TRUE(Has(ManifestName(a_)));
}

TEST_F(CatalogTest, SweepsInterruptedBackupsThatCannotBeRead) {
  const PackId own = PutInterrupted(a_);
  const std::string path = location_ + "/" + InterruptedName(a_);
  std::string text = ReadText(path);
  text[text.size() / 2] ^= 1;
  WriteFileDurably(path, AsBytes(text));
  EXPECT_THAT(InterruptedIds(), testing::IsEmpty());
  SweepUnreferenced(repository_);
  EXPECT_FALSE(Has(PackName(own)));
  EXPECT_FALSE(Has(InterruptedName(a_)));
}

// Whenever it stops: what may still be a parent is whole, what others use is there, and the next
// sweep ends it.
TEST_F(CatalogTest, SurvivesADropOfInterruptedBackupsThatIsKilled) {
  const PackId kept = PutPack(TestBackupId(0), 0);
  for (int delay_us = 0; delay_us < 4000; delay_us += 200) {
    SCOPED_TRACE(delay_us);
    std::vector<PackId> packs = {kept};
    for (uint32_t number = 1; number < 6; ++number) packs.push_back(PutPack(a_, number));
    PutInterrupted(a_, packs);
    PutInterrupted(b_, {kept});
    PutBackup(c_, {kept, packs[1]});
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      DropInterrupted(repository_);
      _exit(0);
    }
    usleep(static_cast<useconds_t>(delay_us));
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);

    for (const BackupRecord& record : ReadInterrupted(repository_)) {
      EXPECT_TRUE(Has(ManifestName(record.backup_id)));
      for (const PackUse& use : record.packs) EXPECT_TRUE(Has(PackName(use.pack)));
    }
    EXPECT_TRUE(Has(PackName(kept)));
    EXPECT_TRUE(Has(PackName(packs[1])));
    DropInterrupted(repository_);
    EXPECT_THAT(InterruptedIds(), testing::IsEmpty());
    EXPECT_THAT(store().List(BackupPrefix(a_)), testing::IsEmpty());
    EXPECT_THAT(NamesOf(store().List(PackPrefix(a_))), testing::ElementsAre(PackName(packs[1])));
    RemoveBackup(repository_, c_);
    SweepUnreferenced(repository_);
    // For the next turn, which writes the same names.
    if (!Has(PackName(kept))) (void)PutPack(TestBackupId(0), 0);
  }
}

}  // namespace
}  // namespace backup_ext
