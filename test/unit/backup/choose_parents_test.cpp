// What the next backup refers to, and what is too doubtful for that.
#include "backup/choose_parents.h"

#include <fcntl.h>
#include <fmt/core.h>

#include <filesystem>

#include "backup_test_support.h"
#include "format/names.h"
#include "store/catalog.h"
#include "store/notes.h"

namespace backup_ext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Microseconds kHour = 3600 * kMicrosecondsPerSecond;
constexpr Microseconds kNow = 1'795'000'000 * kMicrosecondsPerSecond;

class ChooseParentsTest : public BackupTest {
 protected:
  ChooseParentsTest() {
    request.full_interval = 7 * 24 * kHour;
    request.now = kNow;
    request.cluster = {{}, {{1, 0, UINT64_MAX}}, kTestWalPosition, kTestWalPosition};
    Write("base/5/16384", MakePages(100, 0x1000, 1));
  }
  // A real one, made `hours` ago.
  BackupRecord Take(int hours, const std::string& kind = "full",
                    const std::vector<ParentBackup>& parents = {}) {
    Prepare(hours, kind, parents);
    const auto run = NewRun();
    run->CopyCluster(kTestStartLsn);
    run->Finish(&record, *lock);
    return record;
  }
  BackupRecord Interrupt(int hours, const std::string& kind = "full",
                         const std::vector<ParentBackup>& parents = {}) {
    Prepare(hours, kind, parents);
    const auto run = NewRun();
    run->CopyCluster(kTestStartLsn);
    EXPECT_TRUE(run->KeepInterrupted(&record, *lock));
    return record;
  }
  ChosenParents Choose() {
    return ChooseParents(repository, ReadCatalog(repository), request, [] {});
  }
  static std::vector<std::string> IdsOf(const ChosenParents& chosen) {
    std::vector<std::string> ids;
    for (const ParentBackup& parent : chosen.parents) ids.push_back(parent.record.backup_id);
    return ids;
  }
  void ExpectFull(const std::string& reason) {
    const ChosenParents chosen = Choose();
    EXPECT_EQ(chosen.kind, "full");
    EXPECT_THAT(chosen.reason, HasSubstr(reason));
    EXPECT_THAT(chosen.parents, IsEmpty());
  }
  std::string ObjectPath(const std::string& name) const {
    return directory / ("repository/" + name);
  }

  ParentRequest request;

 private:
  void Prepare(int hours, const std::string& kind, const std::vector<ParentBackup>& parents) {
    options.backup_id = NewBackupId(kNow - hours * kHour);
    options.parents = parents;
    options.untouched_margin = 0;
    options.keep_interrupted_from_bytes = 0;
    record = BackupRecord();
    record.backup_id = options.backup_id;
    record.kind = kind;
    record.trigger = "manual";
    record.system_identifier = kTestSystemIdentifier;
    record.started_at = kNow - hours * kHour;
    record.timeline = 1;
    record.start_lsn = kTestStartLsn;
    record.stop_lsn = kTestStartLsn + 0x100;
    request.cluster.shape = ShapeOf(record);
    request.remembered.insert(record.backup_id);
  }
};

TEST_F(ChooseParentsTest, TakesTheNewest) {
  const BackupRecord full = Take(30);
  const BackupRecord next = Take(20, "incremental", {{full, false}});
  const ChosenParents chosen = Choose();
  EXPECT_EQ(chosen.kind, "incremental");
  EXPECT_EQ(chosen.reason, "");
  EXPECT_THAT(IdsOf(chosen), ElementsAre(next.backup_id));
  EXPECT_FALSE(chosen.parents[0].is_interrupted);
}

TEST_F(ChooseParentsTest, PassesOverOnesThatAreNotUsable) {
  const BackupRecord full = Take(30);
  const BackupRecord next = Take(20, "incremental", {{full, false}});
  request.remembered.erase(next.backup_id);
  const ChosenParents chosen = Choose();
  EXPECT_THAT(IdsOf(chosen), ElementsAre(full.backup_id));
  EXPECT_THAT(chosen.passed_over, HasSubstr(next.backup_id + " "));
  EXPECT_FALSE(chosen.is_newest_damaged);
}

TEST_F(ChooseParentsTest, TellsThatTheNewestIsDamaged) {
  const BackupRecord full = Take(30);
  const BackupRecord next = Take(20, "incremental", {{full, false}});
  std::filesystem::remove(ObjectPath(ManifestName(next.backup_id)));
  const ChosenParents chosen = Choose();
  EXPECT_THAT(IdsOf(chosen), ElementsAre(full.backup_id));
  EXPECT_THAT(chosen.passed_over,
              HasSubstr(next.backup_id + " cannot be read: its manifest is missing"));
  EXPECT_TRUE(chosen.is_newest_damaged);
}

TEST_F(ChooseParentsTest, AFullBackupIsComparedWithTheParentThatItCouldHaveHad) {
  const BackupRecord full = Take(30);
  const BackupRecord next = Take(20, "incremental", {{full, false}});
  request.kind = RequestedKind::kFull;
  const ChosenParents chosen = Choose();
  EXPECT_THAT(chosen.parents, IsEmpty());
  ASSERT_EQ(chosen.audited.size(), 1U);
  EXPECT_EQ(chosen.audited[0].record.backup_id, next.backup_id);
}

TEST_F(ChooseParentsTest, TakesNoneThatIsSuspectUntilItIsFoundSound) {
  const BackupRecord full = Take(30);
  AddSuspectNote(repository, full.backup_id, {Now(), NewBackupId(kNow)});
  ExpectFull("refers to what was found damaged in another backup");
  AddVerifyNote(repository, full.backup_id, {Now(), 0, "", 1});
  EXPECT_THAT(IdsOf(Choose()), ElementsAre(full.backup_id));
}

TEST_F(ChooseParentsTest, TakesNoneThatAnAuditFoundWrong) {
  const BackupRecord full = Take(30);
  AddAuditNote(repository, full.backup_id, {Now(), "1 page differs"});
  AddVerifyNote(repository, full.backup_id, {Now(), 0, "", 1});
  ExpectFull("was found damaged");
}

TEST_F(ChooseParentsTest, TellsWhyAFullBackupIsTaken) {
  ExpectFull("there is no full backup yet");
  request.full_interval = 0;
  ExpectFull("there is no earlier backup");
  const BackupRecord full = Take(30);
  EXPECT_EQ(Choose().kind, "incremental");
  request.full_interval = 24 * kHour;
  ExpectFull("the last full backup is as old as full_interval allows");
  request.kind = RequestedKind::kFull;
  ExpectFull("it was asked for");
  request.kind = RequestedKind::kIncremental;
  EXPECT_THAT(IdsOf(Choose()), ElementsAre(full.backup_id));
}

TEST_F(ChooseParentsTest, RefusesAnIncrementalBackupWithoutParent) {
  request.kind = RequestedKind::kIncremental;
  auto error = ErrorOf([&] { (void)Choose(); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kNotInPrerequisiteState);
  EXPECT_EQ(error->detail(), "No earlier backup can be its parent: there is no earlier backup.");
  const BackupRecord full = Take(30);
  request.remembered.clear();
  error = ErrorOf([&] { (void)Choose(); });
  ASSERT_TRUE(error);
  EXPECT_THAT(error->detail(),
              HasSubstr(fmt::format("backup {} is not remembered", full.backup_id)));
}

TEST_F(ChooseParentsTest, WantsEveryPackAndTheManifestWhole) {
  struct Row {
    std::function<void(const BackupRecord&)> damage;
    const char* reason;
  };
  const Row rows[] = {
      {[&](const BackupRecord& full) {
         std::filesystem::remove(ObjectPath(PackName(full.packs[0].pack)));
       },
       "lacks pack \"packs/"},
      {[&](const BackupRecord& full) {
         std::filesystem::resize_file(ObjectPath(PackName(full.packs[0].pack)),
                                      full.packs[0].size_bytes - 1);
       },
       "has a pack of the wrong size: \"packs/"},
      {[&](const BackupRecord& full) {
         const std::string path = ObjectPath(ManifestName(full.backup_id));
         Bytes manifest = ReadWholeFile(path, 1 << 20);
         manifest[manifest.size() / 2] ^= std::byte{1};
         const FileDescriptor file = OpenFile(path, O_WRONLY);
         WriteAllAt(file.get(), manifest, 0, path);
       },
       "cannot be read: its manifest is not the one that its record names"},
      {[&](const BackupRecord& full) {
         std::filesystem::remove(ObjectPath(ManifestName(full.backup_id)));
       },
       "cannot be read: its manifest is missing"},
      {[&](const BackupRecord& full) {
         AddVerifyNote(repository, full.backup_id, {kNow, 1, "base/5/16384: bad", 1});
       },
       "was found damaged when it was verified"},
  };
  for (const Row& row : rows) {
    const BackupRecord full = Take(30);
    ASSERT_FALSE(full.packs.empty());
    EXPECT_THAT(IdsOf(Choose()), ElementsAre(full.backup_id));
    row.damage(full);
    ExpectFull(fmt::format("backup {} {}", full.backup_id, row.reason));
    RemoveBackup(repository, full.backup_id);
  }
}

// Whatever was found damaged in the first may lie in what the second took over.
TEST_F(ChooseParentsTest, DoesNotTrustWhatRefersToADamagedBackup) {
  const BackupRecord full = Take(30);
  const BackupRecord next = Take(20, "incremental", {{full, false}});
  AddVerifyNote(repository, full.backup_id, {kNow, 1, "base/5/16384: bad", 1});
  ExpectFull(fmt::format("backup {} refers to what was found damaged", next.backup_id));
  const BackupRecord fresh = Take(10);
  EXPECT_THAT(IdsOf(Choose()), ElementsAre(fresh.backup_id));
  // The newest verification counts.
  AddVerifyNote(repository, full.backup_id, {kNow + 1, 0, "", 1});
  RemoveBackup(repository, fresh.backup_id);
  EXPECT_THAT(IdsOf(Choose()), ElementsAre(next.backup_id));
}

TEST_F(ChooseParentsTest, GoesOnFromInterruptedOnes) {
  const BackupRecord before = Interrupt(40);
  const BackupRecord full = Take(30);
  const BackupRecord older = Interrupt(20, "incremental", {{full, false}});
  const BackupRecord newer = Interrupt(10, "incremental", {{older, true}, {full, false}});
  const ChosenParents chosen = Choose();
  EXPECT_EQ(chosen.kind, "incremental");
  EXPECT_THAT(IdsOf(chosen), ElementsAre(newer.backup_id, older.backup_id, full.backup_id));
  EXPECT_TRUE(chosen.parents[0].is_interrupted);
  EXPECT_TRUE(chosen.parents[1].is_interrupted);
  EXPECT_FALSE(chosen.parents[2].is_interrupted);

  // Nothing of an incremental one is in a full one.
  request.full_interval = kHour;
  EXPECT_THAT(Choose().parents, IsEmpty());
  const BackupRecord fresh = Interrupt(5);
  EXPECT_EQ(Choose().kind, "full");
  EXPECT_THAT(IdsOf(Choose()), ElementsAre(fresh.backup_id));
  EXPECT_TRUE(Choose().parents[0].is_interrupted);
  request.kind = RequestedKind::kFull;
  EXPECT_THAT(Choose().parents, IsEmpty());
}

TEST_F(ChooseParentsTest, PassesOverInterruptedOnesThatAreNotWhole) {
  const BackupRecord full = Take(30);
  const BackupRecord interrupted = Interrupt(20, "full");
  ASSERT_FALSE(interrupted.packs.empty());
  EXPECT_THAT(IdsOf(Choose()), ElementsAre(interrupted.backup_id, full.backup_id));
  std::filesystem::remove(ObjectPath(PackName(interrupted.packs[0].pack)));
  EXPECT_THAT(IdsOf(Choose()), ElementsAre(full.backup_id));
}

TEST_F(ChooseParentsTest, KeepsNoInterruptedBackupThatHoldsDamagedPages) {
  Bytes pages = MakePages(100, 0x1000, 1);
  pages[5000] ^= std::byte{1};
  Write("base/5/16384", pages);
  options.keep_interrupted_from_bytes = 0;
  record.backup_id = options.backup_id;
  record.system_identifier = kTestSystemIdentifier;
  {
    const auto run = NewRun();
    run->CopyCluster(kTestStartLsn);
    EXPECT_FALSE(run->KeepInterrupted(&record, *lock));
  }
  ExpectNoObjects();
}

}  // namespace
}  // namespace backup_ext
