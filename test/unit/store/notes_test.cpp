// Notes: the newest one counts, and a pin that cannot be read still keeps its backup.
#include "store/notes.h"

#include "store/catalog.h"
#include "store/store_test_support.h"

namespace backup_ext {
namespace {

constexpr Microseconds kTime = 1795429965123456;

class NotesTest : public testing::Test {
 protected:
  NotesTest() { CommitBackup(repository_, TestRecord(id_, {})); }

  std::vector<std::string> Notes() {
    std::vector<std::string> names = repository_.store().ListNames(BackupPrefix(id_));
    std::erase(names, "record.json");
    return names;
  }
  void Damage(const NoteId& note) {
    const std::string path = location_ + "/" + NoteName(note);
    std::string text = ReadText(path);
    text[text.size() / 2] ^= 1;
    WriteFileDurably(path, AsBytes(text));
  }

  TemporaryDirectory top_;
  std::string location_ = top_ / "repository";
  Repository repository_ = MakeTestRepository(location_);
  const std::string id_ = TestBackupId(1);
};

TEST_F(NotesTest, AreNoneAtFirst) {
  const BackupNotes notes = ReadNotes(repository_, id_);
  EXPECT_FALSE(notes.pin || notes.verify || notes.unreadable_pin);
  EXPECT_FALSE(ReadNotes(repository_, TestBackupId(2)).pin);
}

TEST_F(NotesTest, TheNewestOfEachKindCounts) {
  AddPinNote(repository_, id_, {kTime, kPinnedForEver});
  AddPinNote(repository_, id_, {kTime + 5, kTime + 1000});
  AddVerifyNote(repository_, id_, {kTime + 2, 1, "a: b", 10});
  AddVerifyNote(repository_, id_, {kTime + 9, 0, "", 11});
  const BackupNotes notes = ReadNotes(repository_, id_);
  EXPECT_EQ(notes.pin, (PinNote{kTime + 5, kTime + 1000}));
  EXPECT_EQ(notes.verify, (VerifyNote{kTime + 9, 0, "", 11}));
  EXPECT_EQ(Notes().size(), 4U);
}

TEST_F(NotesTest, TheLastOneWrittenIsTheNewestWhateverTheClockSays) {
  AddPinNote(repository_, id_, {kTime, kPinnedForEver});
  AddPinNote(repository_, id_, {kTime, kTime + 1});
  EXPECT_EQ(ReadNotes(repository_, id_).pin, (PinNote{kTime + 1, kTime + 1}));
  AddPinNote(repository_, id_, {kTime - 3600 * kMicrosecondsPerSecond, kNotPinned});
  EXPECT_EQ(ReadNotes(repository_, id_).pin, (PinNote{kTime + 2, kNotPinned}));
  EXPECT_EQ(Notes().size(), 3U);
}

TEST_F(NotesTest, APinThatCannotBeReadHidesNoOlderOneAndIsTold) {
  AddPinNote(repository_, id_, {kTime, kTime + 1});
  AddPinNote(repository_, id_, {kTime + 1, kPinnedForEver});
  Damage({id_, "pin", kTime + 1});
  BackupNotes notes = ReadNotes(repository_, id_);
  EXPECT_TRUE(notes.unreadable_pin);
  EXPECT_EQ(notes.pin, (PinNote{kTime, kTime + 1}));
  AddPinNote(repository_, id_, {kTime + 2, kNotPinned});  // unpin heals it
  notes = ReadNotes(repository_, id_);
  EXPECT_FALSE(notes.unreadable_pin);
  EXPECT_EQ(notes.pin, (PinNote{kTime + 2, kNotPinned}));
}

TEST_F(NotesTest, ANoteUnderAnotherTimeIsNotBelieved) {
  repository_.store().Put(NoteName({id_, "pin", kTime}),
                          AsBytes(EncodePinNote({kTime + 1, kNotPinned})));
  EXPECT_TRUE(ReadNotes(repository_, id_).unreadable_pin);
}

TEST_F(NotesTest, ADamagedVerifyNoteIsNoPin) {
  AddVerifyNote(repository_, id_, {kTime, 0, "", 1});
  Damage({id_, "verify", kTime});
  const BackupNotes notes = ReadNotes(repository_, id_);
  EXPECT_FALSE(notes.verify);
  EXPECT_FALSE(notes.unreadable_pin);
}

TEST_F(NotesTest, WhatTheNewestVerifyFoundAndCannotBeReadCountsAsDamage) {
  AddVerifyNote(repository_, id_, {kTime, 0, "", 1});
  EXPECT_EQ(VerifyVerdict(ReadNotes(repository_, id_)), "ok");
  AddVerifyNote(repository_, id_, {kTime + 1, 1, "a: b", 1});
  EXPECT_EQ(VerifyVerdict(ReadNotes(repository_, id_)), "damaged");
  Damage({id_, "verify", kTime + 1});
  EXPECT_TRUE(IsFoundDamaged(ReadNotes(repository_, id_)));
  EXPECT_EQ(VerifyVerdict(ReadNotes(repository_, id_)), "unreadable");
  AddVerifyNote(repository_, id_, {kTime + 2, 0, "", 1});
  EXPECT_FALSE(IsFoundDamaged(ReadNotes(repository_, id_)));
}

TEST_F(NotesTest, NoVerifyTakesBackWhatAnAuditFound) {
  AddAuditNote(repository_, id_, {kTime, "1 page differs: base/5/16384 block 7"});
  AddVerifyNote(repository_, id_, {kTime + 1, 0, "", 1});
  const BackupNotes notes = ReadNotes(repository_, id_);
  EXPECT_TRUE(IsFoundDamaged(notes));
  EXPECT_EQ(VerifyVerdict(notes), "damaged");
  EXPECT_EQ(notes.audit, (AuditNote{kTime, "1 page differs: base/5/16384 block 7"}));
}

TEST_F(NotesTest, ALaterVerifyClearsASuspicion) {
  AddVerifyNote(repository_, id_, {kTime, 0, "", 1});
  AddSuspectNote(repository_, id_, {kTime + 1, TestBackupId(2)});
  EXPECT_TRUE(IsSuspect(ReadNotes(repository_, id_)));
  EXPECT_FALSE(IsFoundDamaged(ReadNotes(repository_, id_)));
  AddVerifyNote(repository_, id_, {kTime + 2, 0, "", 1});
  EXPECT_FALSE(IsSuspect(ReadNotes(repository_, id_)));
}

TEST_F(NotesTest, NeedABackup) {
  EXPECT_ERROR(AddPinNote(repository_, TestBackupId(2), {kTime, kPinnedForEver}),
               ErrorCode::kNotFound, "does not exist");
  EXPECT_ERROR(AddPinNote(repository_, "../../etc", {kTime, kPinnedForEver}), ErrorCode::kNotFound,
               "does not exist");
  EXPECT_THAT(repository_.store().List(BackupPrefix(TestBackupId(2))), testing::IsEmpty());
}

TEST_F(NotesTest, GoWithTheirBackup) {
  AddPinNote(repository_, id_, {kTime, kPinnedForEver});
  RemoveBackup(repository_, id_);
  EXPECT_THAT(repository_.store().List(BackupPrefix(id_)), testing::IsEmpty());
}

}  // namespace
}  // namespace backup_ext
