// Damage is named by verify and refused by restore; what is sound gives no rows.
#include "verify/verify_run.h"

#include <random>

#include "verify/verify_test_support.h"

namespace backup_ext {
namespace {

using testing::HasSubstr;

struct ExpectedRow {
  std::string path;
  std::string problem;                   // a part of it
  std::optional<uint64_t> offset_bytes;  // where it must be there
};

struct Damage {
  const char* name;
  std::function<void(BackupBuilder*)> build;       // before the backup is written
  std::function<void(const std::string&)> change;  // the repository, after that
  std::vector<ExpectedRow> expected;
};

ManifestEntry* Find(std::vector<ManifestEntry>* entries, const std::string& path) {
  for (ManifestEntry& entry : *entries) {
    if (entry.path == path) return &entry;
  }
  return nullptr;
}

void Flip(const std::string& path, uint64_t offset) {
  Bytes content = ReadWholeFile(path, 1 << 30);
  content.at(offset) ^= std::byte{0x40};
  WriteObject(path, content);
}

void ReplaceLate(BackupBuilder* backup, const std::string& path, std::string_view content) {
  std::erase_if(backup->second, [&](const auto& entry) { return entry.path == path; });
  backup->AddLateFile(path, content);
}

void ExpectRows(const VerifyResult& result, const std::vector<ExpectedRow>& expected) {
  ASSERT_EQ(result.problems.size(), expected.size())
      << (result.problems.empty() ? ""
                                  : result.problems[0].path + ": " + result.problems[0].problem);
  EXPECT_EQ(result.damaged_files, expected.size());
  for (size_t i = 0; i < expected.size(); i++) {
    EXPECT_EQ(result.problems[i].path, expected[i].path);
    EXPECT_THAT(result.problems[i].problem, HasSubstr(expected[i].problem));
    EXPECT_EQ(result.problems[i].offset_bytes, expected[i].offset_bytes);
  }
}

// The place of a file's frame in the pack.
uint64_t PlaceOf(BackupBuilder* backup, const std::string& path, size_t frame = 0) {
  const ManifestEntry* entry = Find(&backup->first, path);
  if (entry == nullptr) entry = Find(&backup->second, path);
  return entry->map.frames.at(frame).offset_bytes;
}

TEST(VerifyRun, FindsNothingInASoundBackup) {
  for (const bool has_whole_segment : {true, false}) {
    const TemporaryDirectory place;
    BackupBuilder backup(place / "repository");
    AddSoundContent(&backup, {.has_whole_segment = has_whole_segment});
    backup.Commit();
    const VerifyResult result = Verify(place / "repository");
    ExpectRows(result, {});
    EXPECT_GT(result.checked_bytes, 70U * kTestPageBytes);
    EXPECT_FALSE(RestoreError(place / "repository", place / "copy"));
  }
}

TEST(VerifyRun, NamesDamageThatRestoreRefusesToo) {
  uint64_t place_of_frame = 0, second_frame = 0;  // known once the backup is built
  const auto pack = [](const std::string& root) { return root + "/" + kPackObject; };
  const auto manifest = [](const std::string& root) { return root + "/" + kManifestObject; };
  const std::vector<ExpectedRow> all_files = {
      {"PG_VERSION", "pack", 0},        {"backup_label", "pack", 0},
      {"base/1/1259", "pack", 0},       {"base/1/2600", "pack", 0},
      {"global/pg_control", "pack", 0}, {"global/pg_filenode.map", "pack", 0},
      {kTestSegment, "pack", 0},        {"postgresql.auto.conf", "pack", 0},
      {"postgresql.conf", "pack", 0}};
  const std::vector<Damage> table = {
      {"payload of a frame",
       [&](BackupBuilder* backup) { place_of_frame = PlaceOf(backup, "base/1/2600", 1); },
       [&](auto& root) { Flip(pack(root), place_of_frame + kFrameHeaderBytes + 100); },
       {{"base/1/2600", "frame payload is damaged", 32 * kTestPageBytes}}},
      {"header of a frame",
       [&](BackupBuilder* backup) { place_of_frame = PlaceOf(backup, "base/1/2600", 2); },
       [&](auto& root) { Flip(pack(root), place_of_frame + 9); },
       {{"base/1/2600", "frame header is damaged", 64 * kTestPageBytes}}},
      {"two frames",
       [&](BackupBuilder* backup) {
         place_of_frame = PlaceOf(backup, "base/1/2600", 0);
         second_frame = PlaceOf(backup, "base/1/2600", 1);
       },
       [&](auto& root) {
         Flip(pack(root), place_of_frame + 60);
         Flip(pack(root), second_frame + 60);
       },
       {{"base/1/2600", "(and 1 more in this file)", 0}}},
      {"WAL",
       [&](BackupBuilder* backup) { place_of_frame = PlaceOf(backup, kTestSegment, 0); },
       [&](auto& root) { Flip(pack(root), place_of_frame + 1000); },
       {{kTestSegment, "frame payload is damaged", 0}}},
      {"header of the pack", {}, [&](auto& root) { Flip(pack(root), 20); }, all_files},
      {"pack, gone", {}, [&](auto& root) { RemoveFile(pack(root)); }, all_files},
      {"pack, empty", {}, [&](auto& root) { WriteObject(pack(root), {}); }, all_files},
      {"pack, cut",
       [&](BackupBuilder* backup) { place_of_frame = PlaceOf(backup, "base/1/2600", 2); },
       [&](auto& root) { std::filesystem::resize_file(pack(root), place_of_frame + 60); },
       {{"backup_label", "frame ends early", 0},
        {"base/1/2600", "frame ends early", 64 * kTestPageBytes},
        {"global/pg_control", "frame ends early", 0},
        {kTestSegment, "frame ends early", 0}}},
      {"manifest, a byte",
       {},
       [&](auto& root) { Flip(manifest(root), 200); },
       {{"manifest", "its manifest is not the one that its record names", {}}}},
      {"manifest, cut",
       {},
       [&](auto& root) { std::filesystem::resize_file(manifest(root), 100); },
       {{"manifest", "its manifest has 100 bytes instead of", {}}}},
      {"manifest, gone",
       {},
       [&](auto& root) { RemoveFile(manifest(root)); },
       {{"manifest", "its manifest is missing", {}}}},
      {"record, a byte",
       {},
       [&](auto& root) { Flip(root + "/" + kRecordObject, 300); },
       {{"record.json", "could not read the record", {}}}},
      {"record, cut",
       {},
       [&](auto& root) { std::filesystem::resize_file(root + "/" + kRecordObject, 50); },
       {{"record.json", "could not read the record", {}}}},
      // Frames that are sound, but hold what is wrong.
      {"pages of another place",
       [](BackupBuilder* backup) {
         backup->AddPages("base/1/2619", TestPage(1, 0, 'x') + TestPage(1, 7, 'y'));
       },
       {},
       {{"base/1/2619", "wrong checksum in block 1 of file", kTestPageBytes}}},
      {"pages of the first segment in the second",
       [](BackupBuilder* backup) { backup->AddPages("base/1/2619.1", TestPage(1, 0, 'x')); },
       {},
       {{"base/1/2619.1", "wrong checksum in block 0 of file", 0}}},
      {"pages swapped in the page map",
       [](BackupBuilder* backup) {
         ManifestEntry* entry = Find(&backup->first, "base/1/2600");
         const uint32_t frame = entry->map.runs[0].frame;
         entry->map.runs.erase(entry->map.runs.begin());
         entry->map.runs.insert(entry->map.runs.begin(),
                                {{1, frame, 1}, {1, frame, 0}, {30, frame, 2}});
       },
       {},
       {{"base/1/2600", "wrong checksum in block 0 of file", 0}}},
      {"content",
       [](BackupBuilder* backup) {
         Find(&backup->first, "postgresql.conf")->content[3] ^= std::byte{1};
       },
       {},
       {{"postgresql.conf", "its content is not what was backed up", {}}}},
      {"no label and no control file",
       [](BackupBuilder* backup) {
         std::erase_if(backup->second, [](const auto& entry) {
           return entry.path == "backup_label" || entry.path == "global/pg_control";
         });
       },
       {},
       {{"backup_label", "the backup does not hold it", {}},
        {"global/pg_control", "the backup does not hold it", {}}}},
      {"no map of relations",
       [](BackupBuilder* backup) {
         std::erase_if(backup->first,
                       [](const auto& entry) { return entry.path == "global/pg_filenode.map"; });
       },
       {},
       {{"global/pg_filenode.map", "the backup does not hold it", {}}}},
      {"broken control file",
       [](BackupBuilder* backup) {
         std::string control = TestControlFile();
         control[20] ^= 1;
         ReplaceLate(backup, "global/pg_control", control);
       },
       {},
       {{"global/pg_control", "its checksum is wrong", 0}}},
      {"another cluster's control file",
       [](BackupBuilder* backup) { ReplaceLate(backup, "global/pg_control", TestControlFile(42)); },
       {},
       {{"global/pg_control", "it is of system identifier 42, not 7654321098765432109", 0}}},
      {"twice the same path",
       [](BackupBuilder* backup) { backup->AddLateFile("PG_VERSION", "15\n"); },
       {},
       {{"PG_VERSION", "the manifest holds it twice", {}}}},
      {"no WAL",
       [](BackupBuilder* backup) {
         std::erase_if(backup->second,
                       [](const auto& entry) { return entry.path == kTestSegment; });
       },
       {},
       {{kTestSegment, "WAL segment 000000010000000000000020 is missing", {}}}},
      {"record of another size",
       [](BackupBuilder* backup) { backup->record.wal_segment_bytes = 3; },
       {},
       {{kTestSegment, "its name is not that of a WAL segment", {}},
        {"record.json", "its record names a WAL segment size of 3", {}}}},
  };
  for (const Damage& damage : table) {
    SCOPED_TRACE(damage.name);
    const TemporaryDirectory place;
    const std::string location = place / "repository";
    BackupBuilder backup(location);
    AddSoundContent(&backup);
    if (damage.build) damage.build(&backup);
    backup.Commit();
    if (damage.change) damage.change(location);
    ExpectRows(Verify(location), damage.expected);
    const auto error = RestoreError(location, place / "copy");
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::kDamaged) << error->message();
  }
}

// What recovery would stumble over, and a restore, which looks at no record, does not see.
TEST(VerifyRun, NamesWhatOnlyRecoveryWouldFind) {
  const auto change_wal = [](BackupBuilder* backup, const std::function<void(Bytes*)>& change) {
    const uint64_t start = backup->record.start_lsn % kTestWalSegmentBytes;
    WalMaker wal(0x20, kTestWalSegmentBytes, kTestSystemIdentifier);
    for (int i = 0; i < 43; i++) wal.Append(i < 3 ? 200 : 700);
    Bytes segment = wal.Segment(0x20);
    ASSERT_LT(start, segment.size());
    change(&segment);
    std::erase_if(backup->second, [](const auto& entry) { return entry.path == kTestSegment; });
    backup->AddLateFile(kTestSegment, AsText(segment), FileKind::kWal);
  };
  const std::vector<Damage> table = {
      {"a record",
       [&](BackupBuilder* backup) {
         change_wal(backup, [](Bytes* wal) { (*wal)[16'500] ^= std::byte{1}; });
       },
       {},
       {{kTestSegment, "wrong checksum in the WAL record at 0/2003", 16'024}}},
      {"a page of zeros",
       [&](BackupBuilder* backup) {
         change_wal(backup,
                    [](Bytes* wal) { std::fill_n(wal->begin() + 8192, 8192, std::byte{0}); });
       },
       {},
       {{kTestSegment, "page of WAL 0/0 in the place of 0/2002000", 8192}}},
      {"another segment",
       [&](BackupBuilder* backup) {
         change_wal(backup, [](Bytes* wal) {
           *wal = WalMaker(0x21, kTestWalSegmentBytes, kTestSystemIdentifier).Segment(0x21);
         });
       },
       {},
       {{kTestSegment, "holds WAL of 0/2100000, not of 0/2000000", 0}}},
      {"another start",
       [](BackupBuilder* backup) {
         ReplaceLate(backup, "backup_label", "START WAL LOCATION: 0/2000028 (file x)\n");
       },
       {},
       {{"backup_label", "it does not begin where the backup does", 0}}},
      {"no label",
       [](BackupBuilder* backup) { ReplaceLate(backup, "backup_label", "label"); },
       {},
       {{"backup_label", "it has no start of WAL", 0}}},
      {"another version",
       [](BackupBuilder* backup) {
         std::erase_if(backup->first, [](const auto& e) { return e.path == "PG_VERSION"; });
         backup->AddFile("PG_VERSION", "14\n");
       },
       {},
       {{"PG_VERSION", "it does not name the version of the server", 0}}},
      {"no history",
       [](BackupBuilder* backup) {
         BackupRecord& record = backup->record;
         record.timeline = 2;
         const uint64_t middle = record.start_lsn + 728;  // one record
         record.wal_ranges = {{2, middle, record.stop_lsn}, {1, record.start_lsn, middle}};
         const ManifestEntry* segment = Find(&backup->second, kTestSegment);
         backup->second.push_back(*segment);
         backup->second.back().path = "pg_wal/000000020000000000000020";
       },
       {},
       {{"pg_wal/00000002.history", "the backup does not hold it", {}}}},
      {"an end within a record",
       [](BackupBuilder* backup) {
         backup->record.stop_lsn -= 40;
         backup->record.wal_ranges[0].end_lsn -= 40;
       },
       {},
       {{kTestSegment, "its WAL ends at", {}}}}};
  for (const Damage& damage : table) {
    SCOPED_TRACE(damage.name);
    const TemporaryDirectory place;
    BackupBuilder backup(place / "repository");
    AddSoundContent(&backup);
    damage.build(&backup);
    backup.Commit();
    ExpectRows(Verify(place / "repository"), damage.expected);
  }
}

TEST(VerifyRun, ABackupThatSaysItIsDamagedIsJudgedByWhatItHolds) {
  const TemporaryDirectory place;
  BackupBuilder backup(place / "repository");
  AddSoundContent(&backup);
  backup.AddPages("base/1/2619", TestPage(1, 7, 'y'));
  backup.record.state = "damaged";
  backup.Commit();
  ExpectRows(Verify(place / "repository"), {});
}

TEST(VerifyRun, PassesOverWhatDoesNotBelongToTheBackup) {
  const TemporaryDirectory place;
  BackupBuilder backup(place / "repository");
  AddSoundContent(&backup);
  backup.AddFile("base/1/9999", "unlogged").content[0] ^= std::byte{1};
  ManifestEntry removed;
  removed.kind = EntryKind::kRemoved;
  removed.path = "base/1/9999";
  backup.second.push_back(removed);
  backup.Commit();
  ExpectRows(Verify(place / "repository"), {});
}

// Small files share frames: each is decoded once, not once a file; and when it is damaged each file
// in it is named.
TEST(VerifyRun, NamesEveryFileOfASharedFrame) {
  const TemporaryDirectory place;
  BackupBuilder backup(place / "repository");
  AddSoundContent(&backup);
  std::string together;
  for (int i = 0; i < 500; i++) together += fmt::format("content of file {:04}\n", i);
  const size_t each = together.size() / 500;
  const ManifestEntry shared = backup.MakeFile("shared", together);
  std::vector<ExpectedRow> expected;
  for (int i = 0; i < 500; i++) {
    ManifestEntry entry = shared;
    entry.path = fmt::format("small/{:04}", i);
    entry.size_bytes = each;
    entry.content = Xxh3Digest(AsBytes(std::string_view(together).substr(i * each, each)));
    entry.map.runs = {{each, 0, static_cast<uint32_t>(i * each)}};
    backup.first.push_back(entry);
    expected.push_back({entry.path, "frame payload is damaged", 0});
  }
  backup.Commit();
  ExpectRows(Verify(place / "repository"), {});
  Flip(place / "repository/" + kPackObject, shared.map.frames[0].offset_bytes + 200);
  ExpectRows(Verify(place / "repository"), expected);
}

TEST(VerifyRun, BoundsItsRowsAndCountsTheRest) {
  const TemporaryDirectory place;
  BackupBuilder backup(place / "repository");
  AddSoundContent(&backup);
  const ManifestEntry one = backup.MakeFile("one", "x");
  for (size_t i = 0; i < kVerifyProblemLimit + 5; i++) {
    ManifestEntry entry = one;
    entry.path = fmt::format("small/{:06}", i);
    entry.content = {};
    backup.first.push_back(entry);
  }
  backup.Commit();
  const VerifyResult result = Verify(place / "repository");
  EXPECT_EQ(result.problems.size(), kVerifyProblemLimit);
  EXPECT_EQ(result.damaged_files, kVerifyProblemLimit + 5);
}

TEST(VerifyRun, EndsWhenThePausePointThrows) {
  const TemporaryDirectory place;
  BackupBuilder backup(place / "repository");
  AddSoundContent(&backup);
  backup.Commit();
  Progress progress;
  const auto error = ErrorOf([&] {
    static_cast<void>(VerifyBackup(backup.repository, kTestBackupId, 2, &progress, [&] {
      if (progress.phase == Phase::kVerifying) throw Error(ErrorCode::kCanceled, "enough");
    }));
  });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kCanceled);
}

TEST(VerifyRun, ABackupThatIsNotThereIsAnError) {
  const TemporaryDirectory place;
  BackupBuilder backup(place / "repository");
  const auto error = ErrorOf([&] { static_cast<void>(Verify(place / "repository")); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kNotFound);
}

// Every byte of every object of a repository changed in turn. There is no harmless byte but in what
// is only for people: the lock's file.
TEST(VerifyRun, FindsEveryChangedByteOfARepository) {
  const TemporaryDirectory place;
  const std::string location = place / "repository";
  BackupBuilder backup(location);
  AddSoundContent(&backup, {.relation_pages = 1, .wal_records = 1, .has_whole_segment = false});
  backup.Commit();
  size_t bytes = 0;
  for (const std::string& object : TreeOf(location)) {
    const std::string path = location + "/" + object;
    if (object.ends_with("/")) continue;
    const Bytes sound = ReadWholeFile(path, 1 << 30);
    for (size_t i = 0; i < sound.size(); i++) {
      Bytes changed = sound;
      changed[i] ^= std::byte{0x04};
      WriteObject(path, changed);
      bool is_found = false;
      try {
        is_found = !Verify(location).problems.empty();
      } catch (const Error&) {
        is_found = object == kRepositoryObject;  // nothing of the repository can be read
      }
      EXPECT_TRUE(is_found) << object << " byte " << i;
      if (i % 100 == 0) {
        EXPECT_TRUE(RestoreError(location, place / "copy")) << object << " " << i;
      }
      bytes++;
    }
    WriteObject(path, sound);
  }
  EXPECT_GT(bytes, 3000U);
  ExpectRows(Verify(location), {});
}

// Bits flipped at random places of the pack of a larger backup.
TEST(VerifyRun, FindsRandomFlipsThatRestoreRefusesToo) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const TemporaryDirectory place;
  const std::string location = place / "repository";
  BackupBuilder backup(location);
  AddSoundContent(&backup, {.relation_pages = 400});
  backup.Commit();
  const std::string path = location + "/" + kPackObject;
  const Bytes sound = ReadWholeFile(path, 1 << 30);
  for (int round = 0; round < 100; round++) {
    Bytes changed = sound;
    const uint64_t bit = random() % (sound.size() * 8);
    changed[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    WriteObject(path, changed);
    SCOPED_TRACE(fmt::format("bit {}", bit));
    EXPECT_FALSE(Verify(location).problems.empty());
    EXPECT_TRUE(RestoreError(location, place / "copy"));
  }
  WriteObject(path, sound);
  ExpectRows(Verify(location), {});
}

}  // namespace
}  // namespace backup_ext
