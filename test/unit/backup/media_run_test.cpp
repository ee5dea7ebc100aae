#include "backup/media_run.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "backup/choose_parents.h"
#include "backup/finish.h"
#include "backup_test_support.h"
#include "store/catalog.h"
#include "store/frame_source.h"
#include "store/manifest_source.h"

namespace backup_ext {
namespace {

struct MediaFile {
  ManifestEntry entry;
  Bytes content;
};
using Media = std::map<std::string, MediaFile>;

class MediaTest : public BackupTest {
 protected:
  MediaTest() {
    MakeDirectory(media_);
    media_options_.directories = {media_};
    media_options_.threads = 2;
    media_options_.keep_interrupted_from_bytes = 0;
  }

  void Put(const std::string& path, std::string_view content) const {
    std::filesystem::create_directories(ParentDirectory(Path(path)));
    const FileDescriptor file = OpenFile(Path(path), O_WRONLY | O_CREAT | O_TRUNC);
    WriteAll(file.get(), AsBytes(content), path);
  }
  [[nodiscard]] std::string Path(const std::string& path) const { return media_ + "/" + path; }
  void Remove(const std::string& path) const { std::filesystem::remove_all(Path(path)); }

  [[nodiscard]] std::unique_ptr<MediaRun> NewMedia() {
    media_options_.backup_id = NewBackupId(Now());
    return std::make_unique<MediaRun>(repository, kTestSystemIdentifier, media_options_, &server,
                                      &progress);
  }

  // The whole of a run, with `between` before the second look. `media_record` is filled.
  Media Run(const std::function<void()>& between = [] {}) {
    const auto run = NewMedia();
    run->Copy();
    between();
    run->CopyAgain();
    Fill(run->Finish());
    run->Commit();
    warnings = run->warnings();
    return Read(ManifestKind::kMedia);
  }

  void Fill(const StoredMedia& stored) {
    media_record = {};
    media_record.backup_id = media_options_.backup_id;
    media_record.system_identifier = kTestSystemIdentifier;
    AddMedia(stored, &media_record);
    stored_bytes = 0;
    for (const PackUse& use : stored.packs) {
      if (use.pack.backup_id == media_record.backup_id) stored_bytes += use.used_bytes;
    }
  }

  [[nodiscard]] Media Read(ManifestKind kind) const {
    CheckManifestObject(
        repository, media_record, [] {}, kind);
    Media media;
    FrameSource frames(repository);
    const auto reader = OpenManifest(repository, media_record, kind);
    while (auto entry = reader->Next()) {
      Bytes content;
      frames.BeginFile(entry->map);
      for (const PageRun& run : entry->map.runs) {
        const FrameRef& frame = entry->map.frames[run.frame];
        const ByteSpan plain = frames.Read(frame, reader->packs()[frame.pack]);
        const ByteSpan piece = plain.subspan(run.first_unit, run.units);
        content.insert(content.end(), piece.begin(), piece.end());
      }
      const bool is_file = entry->kind == EntryKind::kFile;
      EXPECT_TRUE(!is_file || Xxh3Digest(content) == entry->content) << entry->path;
      std::string path = entry->path;
      media[path] = {*std::move(entry), std::move(content)};
    }
    return media;
  }

  static std::string Text(const Media& media, const std::string& path) {
    const auto found = media.find("media/1/" + path);
    return found == media.end() ? "none" : std::string(AsText(found->second.content));
  }

  const std::string media_ = directory / "media";
  MediaOptions media_options_;
  BackupRecord media_record;
  uint64_t stored_bytes = 0;
};

TEST_F(MediaTest, HoldsEveryKind) {
  Put("a/file", "content");
  Put("a.b", "between a and a/");
  Put("z", "");
  Put(std::string("any\xff\n bytes"), "x");
  ASSERT_EQ(symlink("to nowhere\xfe", Path("link").c_str()), 0);
  ASSERT_EQ(::link(Path("a/file").c_str(), Path("second").c_str()), 0);
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  ASSERT_EQ(chmod(Path("a").c_str(), 02750), 0);
  const Media media = Run();
  EXPECT_EQ(Text(media, "a/file"), "content");
  EXPECT_EQ(Text(media, "a.b"), "between a and a/");
  EXPECT_EQ(Text(media, "z"), "");
  EXPECT_EQ(Text(media, "any\xff\n bytes"), "x");
  EXPECT_EQ(media.at("media/1/link").entry.kind, EntryKind::kSymbolicLink);
  EXPECT_EQ(media.at("media/1/link").entry.link_target, "to nowhere\xfe");
  EXPECT_EQ(media.at("media/1/second").entry.kind, EntryKind::kHardLink);
  EXPECT_EQ(media.at("media/1/second").entry.link_target, "media/1/a/file");
  EXPECT_EQ(media.at("media/1/a").entry.mode, 02750U);
  EXPECT_FALSE(media.contains("media/1/pipe"));
  EXPECT_THAT(warnings, testing::Contains(testing::HasSubstr("skipping special file")));
  ASSERT_EQ(media_record.media.directories.size(), 1U);
  EXPECT_EQ(media_record.media.directories[0].files, 4U);
  EXPECT_EQ(media_record.media_bytes, 7U + 16 + 0 + 1);
}

TEST_F(MediaTest, StoresHolesOnce) {
  const FileDescriptor file = OpenFile(Path("sparse"), O_WRONLY | O_CREAT);
  WriteAllAt(file.get(), AsBytes("end"), 64 * 1024 * 1024, "sparse");
  const Media media = Run();
  const MediaFile& sparse = media.at("media/1/sparse");
  EXPECT_EQ(sparse.entry.file_kind, FileKind::kSparse);
  EXPECT_LE(sparse.entry.map.frames.size(), 2U);
  EXPECT_EQ(sparse.content.size(), 64U * 1024 * 1024 + 3);
  EXPECT_EQ(AsText(ByteSpan(sparse.content).last(3)), "end");
}

TEST_F(MediaTest, StoresOnlyWhatChanged) {
  std::mt19937_64 random(7);
  Put("large", AsText(RandomContent(&random, 1'000'000)));
  for (int i = 0; i < 200; ++i) Put("small/" + std::to_string(i), std::to_string(i * i));
  (void)Run();
  EXPECT_GT(stored_bytes, 400'000U);
  media_options_.parents = {{media_record, false}};
  Media media = Run();
  EXPECT_EQ(stored_bytes, 0U);
  EXPECT_EQ(Text(media, "small/14"), "196");
  Put("small/14", "changed");
  ASSERT_EQ(chmod(Path("small/15").c_str(), 0640), 0);
  media_options_.parents = {{media_record, false}};
  media = Run();
  EXPECT_GT(stored_bytes, 0U);
  EXPECT_LT(stored_bytes, 1000U);
  EXPECT_EQ(Text(media, "small/14"), "changed");
  EXPECT_EQ(media.at("media/1/small/15").entry.mode, 0640U);
  EXPECT_EQ(media.at("media/1/large").content.size(), 1'000'000U);
}

TEST_F(MediaTest, LooksAgain) {
  Put("appended", "before");
  Put("deleted", "kept");
  Put("gone/1", "kept too");
  Put("renamed", "same");
  Put("was directory/1", "dropped");
  Put("was file", "file");
  const Media media = Run([this] {
    Put("appended", "before and after");
    Put("new", "late");
    Remove("deleted");
    Remove("gone");
    std::filesystem::rename(Path("renamed"), Path("under another name"));
    Remove("was directory");
    Put("was directory", "a file now");
    Remove("was file");
    Put("was file/1", "a directory now");
  });
  EXPECT_EQ(Text(media, "appended"), "before and after");
  EXPECT_EQ(Text(media, "new"), "late");
  EXPECT_EQ(Text(media, "deleted"), "kept");
  EXPECT_EQ(Text(media, "gone/1"), "kept too");
  EXPECT_EQ(Text(media, "renamed"), "same");
  EXPECT_EQ(Text(media, "under another name"), "same");
  EXPECT_EQ(Text(media, "was directory"), "a file now");
  EXPECT_FALSE(media.contains("media/1/was directory/1"));
  EXPECT_EQ(media.at("media/1/was file").entry.kind, EntryKind::kDirectory);
  EXPECT_EQ(Text(media, "was file/1"), "a directory now");
}

TEST_F(MediaTest, FollowsNamesOfOneFile) {
  Put("a", "several names");
  for (const char* name : {"b", "c", "d"}) {
    ASSERT_EQ(::link(Path("a").c_str(), Path(name).c_str()), 0);
  }
  const Media media = Run([this] {
    Remove("a");
    Remove("c");
  });
  // Gone, and kept: a as a file, and c as another name of it. The rest is one file still.
  EXPECT_EQ(Text(media, "a"), "several names");
  EXPECT_EQ(media.at("media/1/c").entry.link_target, "media/1/a");
  EXPECT_EQ(Text(media, "b"), "several names");
  EXPECT_EQ(media.at("media/1/d").entry.link_target, "media/1/b");
}

// The first name of a large file goes before it is opened: to copy it by another one takes long,
// and a cancel or a new rate is heard meanwhile.
TEST_F(MediaTest, PausesWhileItCopiesAFileByItsSecondName) {
  constexpr size_t kFirst = 1'000'000;
  constexpr size_t kLarge = 4'000'000;
  std::mt19937_64 random(13);
  Put("0", AsText(RandomContent(&random, kFirst)));
  Put("a", AsText(RandomContent(&random, kLarge)));
  ASSERT_EQ(::link(Path("a").c_str(), Path("b").c_str()), 0);
  media_options_.threads = 1;
  media_options_.max_bytes_per_second = 2'000'000;
  const auto run = NewMedia();
  int pauses = 0;
  server.on_pause = [&] {
    // The only thread reads the first file.
    if (server.pauses == 2) Remove("a");
    if (progress.bytes_done <= kFirst || progress.bytes_done >= kFirst + kLarge) return;
    ++pauses;
    run->SetMaxRate(0);
  };
  run->Copy();
  EXPECT_GT(pauses, 0);
  server.on_pause = nullptr;
  run->CopyAgain();
  Fill(run->Finish());
  EXPECT_EQ(Read(ManifestKind::kMedia).at("media/1/b").content.size(), kLarge);
}

TEST_F(MediaTest, FollowsNoLinkThatTakesTheirPlace) {
  Put("photos/1", "mine");
  MakeDirectory(directory / "secret");
  const FileDescriptor file = OpenFile(directory / "secret/2", O_WRONLY | O_CREAT);
  WriteAll(file.get(), AsBytes("secret"), "2");
  const Media media = Run([this] {
    Remove("photos");
    ASSERT_EQ(symlink((directory / "secret").c_str(), Path("photos").c_str()), 0);
  });
  EXPECT_EQ(media.at("media/1/photos").entry.kind, EntryKind::kSymbolicLink);
  EXPECT_FALSE(media.contains("media/1/photos/1"));
  EXPECT_FALSE(media.contains("media/1/photos/2"));
}

TEST_F(MediaTest, GoesOnWithAnInterruptedOne) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 40; ++i) {
    Put("large" + std::to_string(i), AsText(RandomContent(&random, 300'000)));
  }
  {
    const auto run = NewMedia();
    run->Copy();
    server.on_pause = [] { throw Error(ErrorCode::kCanceled, "canceled"); };
    EXPECT_TRUE(ErrorOf([&] { run->CopyAgain(); }));
    server.on_pause = nullptr;
    const auto kept = run->KeepInterrupted();
    ASSERT_TRUE(kept);
    Fill(*kept);
    media_record.state = "interrupted";
    run->Release();
  }
  EXPECT_EQ(Read(ManifestKind::kMedia).size(), 41U);
  media_options_.parents = {{media_record, true}};
  const Media media = Run();
  EXPECT_EQ(media.size(), 41U);
  EXPECT_EQ(stored_bytes, 0U);
}

// What was kept of a backup that ended before any other was complete: the next one is full, too.
TEST_F(MediaTest, AFullOneGoesOnWithInterruptedFullOnesAlone) {
  Put("a", "content");
  const auto interrupt = [this] {
    const auto run = NewMedia();
    run->Copy();
    const auto kept = run->KeepInterrupted();
    Fill(*kept);
    media_record.kind = kept->is_full ? "full" : "incremental";
    media_record.state = "interrupted";
    media_record.started_at = Now();
    media_record.timeline = 1;
    CommitInterrupted(repository, media_record);
    run->Release();
    return media_record;
  };
  const auto choose = [this](RequestedKind kind, Microseconds full_interval) {
    std::vector<std::string> ids;
    for (const ParentBackup& parent :
         ChooseMediaParents(repository, ReadCatalog(repository), kind, full_interval, Now(),
                            kTestSystemIdentifier, [] {})) {
      EXPECT_TRUE(parent.is_interrupted);
      ids.push_back(parent.record.backup_id);
    }
    return ids;
  };
  const BackupRecord first = interrupt();
  EXPECT_EQ(first.kind, "full");
  const Microseconds day = 24 * 3600 * kMicrosecondsPerSecond;
  EXPECT_THAT(choose(RequestedKind::kAuto, day), testing::ElementsAre(first.backup_id));
  EXPECT_THAT(choose(RequestedKind::kAuto, 0), testing::ElementsAre(first.backup_id));
  EXPECT_THAT(choose(RequestedKind::kFull, day), testing::IsEmpty());

  media_options_.parents = {{first, false}};
  const BackupRecord second = interrupt();
  EXPECT_EQ(second.kind, "incremental");
  EXPECT_THAT(choose(RequestedKind::kAuto, day), testing::ElementsAre(first.backup_id));
  EXPECT_THAT(choose(RequestedKind::kAuto, 0),
              testing::ElementsAre(second.backup_id, first.backup_id));
}

// The media outlive the run beside them, and are kept without it.
TEST_F(MediaTest, AreKeptWhenTheRunBesideThemIsNot) {
  Put("a", "content");
  const auto media = NewMedia();
  media->Copy();
  options.backup_id = media_options_.backup_id;
  options.is_beside_media = true;
  Write("base/5/1", "something");
  {
    const auto run = NewRun();
    run->CopyCluster(kTestStartLsn);
  }
  EXPECT_FALSE(media->is_released());
  const auto kept = media->KeepInterrupted();
  ASSERT_TRUE(kept);
  Fill(*kept);
  media_record.state = "interrupted";
  EXPECT_EQ(Text(Read(ManifestKind::kMedia), "a"), "content");
}

TEST_F(MediaTest, LeavesNothingWhenItFails) {
  Put("a", "content");
  {
    const auto run = NewMedia();
    run->Copy();
    run->CopyAgain();
  }
  ExpectNoObjects();
}

TEST_F(MediaTest, EstimatesWhatIsToBeRead) {
  Put("a", "12345");
  Put("b", "1234567890");
  const auto run = NewMedia();
  const MediaEstimate estimate = run->Estimate();
  EXPECT_EQ(estimate.files, 2U);
  EXPECT_EQ(estimate.bytes, 15U);
  EXPECT_EQ(estimate.changed_bytes, 15U);
  EXPECT_EQ(progress.bytes_total, 15U);
}

}  // namespace
}  // namespace backup_ext
