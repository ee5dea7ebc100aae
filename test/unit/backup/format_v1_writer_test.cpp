// Writes the repository of test/data/format_v1. Runs only when it is asked for: see the README.md
// there, and format_v1_test.cpp in restore, which reads it.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "backup/media_run.h"
#include "backup_test_support.h"
#include "base/clock.h"
#include "base/lsn.h"
#include "base/sha256_of.h"
#include "cluster/make_control_file.h"
#include "cluster/page.h"
#include "cluster/wal_maker.h"
#include "format/names.h"
#include "store/catalog.h"
#include "store/history.h"
#include "store/notes.h"

namespace backup_ext {
namespace {

constexpr const char* kSegment = "000000010000000000000020";
// Paths that get into the repository: the same wherever it is made.
constexpr const char* kOutside = "/tmp/backup_ext_format_v1";

// As MakePage(), but most of it compresses.
Bytes MakeSmallPage(uint32_t block, uint64_t lsn, uint32_t seed) {
  Bytes page = MakePage(block, lsn, seed);
  std::fill(page.begin() + 4096 + 256, page.end(), static_cast<std::byte>(seed));
  const uint16_t checksum = PageChecksum(page, block);
  std::memcpy(page.data() + 8, &checksum, sizeof checksum);
  return page;
}

class FormatV1Writer : public BackupTest {
 protected:
  FormatV1Writer() : wal_(0x20, kTestWalSegmentBytes, kTestSystemIdentifier) {
    std::filesystem::remove_all(kOutside);
    std::filesystem::create_directories(fmt::format("{}/media/a", kOutside));
    const std::string space = fmt::format("{}/space", kOutside);
    std::filesystem::create_directories(fmt::format("{}/{}/5", space, kTestVersionDirectory));
    EXPECT_EQ(symlink(space.c_str(), Disk("pg_tblspc/16399").c_str()), 0);
    WriteMedia("a/picture", "a picture\n");
    WriteMedia("note.txt", "a note\n");
    for (int i = 0; i < 3; ++i) wal_.Append(50);
  }
  ~FormatV1Writer() override { std::filesystem::remove_all(kOutside); }

  static void WriteMedia(const std::string& path, std::string_view content) {
    WriteFileDurably(fmt::format("{}/media/{}", kOutside, path), AsBytes(content));
  }
  void WritePages(const std::string& path, uint32_t pages, uint32_t seed);
  void WriteFirstContent();
  void WriteSecondContent();
  void ChangePage(const std::string& path, uint32_t block, uint32_t seed);
  // Takes a backup and writes `<name>.sha256`.
  void Take(const std::string& name, const std::optional<BackupRecord>& parent);
  void WriteList(const std::string& name, const std::map<std::string, Bytes>& supplied) const;

  const char* const given_ = std::getenv("BACKUP_EXT_FORMAT_V1");
  const std::string target_ = given_ != nullptr ? given_ : "";
  WalMaker wal_;
};

void FormatV1Writer::WritePages(const std::string& path, uint32_t pages, uint32_t seed) {
  Bytes content;
  for (uint32_t block = 0; block < pages; ++block) {
    const Bytes page = MakeSmallPage(block, 0x1000, seed);
    content.insert(content.end(), page.begin(), page.end());
  }
  Write(path, content);
}

void FormatV1Writer::ChangePage(const std::string& path, uint32_t block, uint32_t seed) {
  Bytes content = ReadDisk(path);
  std::ranges::copy(MakeSmallPage(block, wal_.lsn(), seed),
                    content.begin() + ptrdiff_t{kTestPageBytes} * block);
  Write(path, content);
}

void FormatV1Writer::WriteFirstContent() {
  Write("postgresql.conf", "max_connections = 42\n");
  Write("postgresql.auto.conf", "work_mem = '8MB'\n");
  Write("global/pg_filenode.map", std::string(524, 'm'));
  Write("base/5/pg_filenode.map", std::string(524, 'n'));
  Write("base/5/PG_VERSION", "15\n");
  Write("pg_xact/0000", std::string(8192, '\0'));
  Write("base/5/empty", "");
  WritePages("base/5/16384", 5, 1);
  WritePages("base/5/16385", 40, 2);  // two frames
  WritePages("base/5/16386", 2, 3);
  Write("base/5/plain", std::string(3000, 'p'));
  WritePages(fmt::format("pg_tblspc/16399/{}/5/16400", kTestVersionDirectory), 1, 4);
}

// Pages changed, a relation grown, one gone, one new, a plain file changed, media too.
void FormatV1Writer::WriteSecondContent() {
  ChangePage("base/5/16384", 1, 11);
  ChangePage("base/5/16385", 3, 12);
  ChangePage("base/5/16385", 35, 13);
  Bytes grown = ReadDisk("base/5/16384");
  const Bytes page = MakeSmallPage(5, wal_.lsn(), 14);
  grown.insert(grown.end(), page.begin(), page.end());
  Write("base/5/16384", grown);
  std::filesystem::remove(Disk("base/5/16386"));
  Write("base/5/16387", MakeSmallPage(0, wal_.lsn(), 15));
  Write("base/5/plain", std::string(2000, 'q'));
  WriteMedia("note.txt", "another note\n");
}

void FormatV1Writer::Take(const std::string& name, const std::optional<BackupRecord>& parent) {
  record = BackupRecord();
  record.started_at = Now();
  record.backup_id = options.backup_id = NewBackupId(record.started_at);
  record.kind = name;
  record.trigger = "manual";
  record.label = "M\xc3\xa4rz";
  record.system_identifier = kTestSystemIdentifier;
  record.timeline = 1;
  record.start_lsn = wal_.lsn();
  record.checkpoint_lsn = record.start_lsn;
  record.server_version = "15.18";
  record.server_version_num = 150018;
  record.control_version = 1300;
  record.catalog_version = 202209061;
  record.block_bytes = kTestPageBytes;
  record.segment_blocks = facts.segment_blocks;
  record.wal_segment_bytes = kTestWalSegmentBytes;
  record.data_checksums = true;
  record.wal_level = "replica";
  record.data_directory = "/var/lib/postgresql/15/main";
  record.host = "example";
  record.settings = {{"max_connections", "42"}};
  options.begun_at = record.started_at;
  options.threads = 1;
  MediaOptions media_options;
  media_options.backup_id = record.backup_id;
  media_options.directories = {fmt::format("{}/media", kOutside)};
  if (parent) {
    record.parent_id = parent->backup_id;
    options.parents = {{*parent, false}};
    media_options.parents = options.parents;
  }

  MediaRun media(repository, kTestSystemIdentifier, media_options, &server, &progress);
  media.Copy();
  const auto run = NewRun();
  run->CopyCluster(record.start_lsn);
  for (int i = 0; i < 10; ++i) wal_.Append(100);
  record.stop_lsn = wal_.lsn();
  record.wal_ranges = {{1, record.start_lsn, record.stop_lsn}};
  // As a new segment is: zeros after the last record. (A restore writes zeros there.)
  Bytes segment = wal_.Segment(0x20);
  std::fill(segment.begin() + record.stop_lsn % kTestWalSegmentBytes, segment.end(), std::byte{0});
  Write(fmt::format("pg_wal/{}", kSegment), segment);
  run->PostWalSegment(kSegment, kTestWalSegmentBytes);
  const std::string label =
      fmt::format("START WAL LOCATION: {} (file {})\n", FormatLsn(record.start_lsn), kSegment);
  const std::string control = MakeControlFile(kTestSystemIdentifier);
  const std::string hba = "local all all peer\n";
  const auto supply = [&](EntryKind kind, FileKind file_kind, const std::string& path,
                          const std::string& link_target, std::string_view text) {
    const ByteSpan content = AsBytes(text);
    run->AddSuppliedFile(
        {kind, file_kind, path, link_target, Bytes(content.begin(), content.end()), 0600});
  };
  supply(EntryKind::kFile, FileKind::kOther, "backup_label", "", label);
  supply(EntryKind::kFile, FileKind::kControlFile, "global/pg_control", "", control);
  supply(EntryKind::kConfiguration, FileKind::kOther, "etc/0-pg_hba.conf",
         "/etc/postgresql/15/main/pg_hba.conf", hba);
  media.CopyAgain();
  run->AddMedia(media.Finish());
  run->Finish(&record, *lock);
  media.Commit();
  EXPECT_EQ(record.state, "complete") << record.error;

  std::map<std::string, Bytes> supplied;
  for (const auto& [path, text] : {std::pair{"backup_label", label},
                                   {"global/pg_control", control},
                                   {"backup_ext_conf/1-pg_hba.conf", hba}}) {
    supplied[path] = Bytes(AsBytes(text).begin(), AsBytes(text).end());
  }
  WriteList(name, supplied);
}

void FormatV1Writer::WriteList(const std::string& name,
                               const std::map<std::string, Bytes>& supplied) const {
  std::map<std::string, Bytes> files = supplied;
  const auto add_tree = [&](const std::string& directory_path, const std::string& prefix) {
    const auto follow = std::filesystem::directory_options::follow_directory_symlink;
    for (const auto& found :
         std::filesystem::recursive_directory_iterator(directory_path, follow)) {
      if (!found.is_regular_file()) continue;
      const std::string path = prefix + found.path().string().substr(directory_path.size() + 1);
      files[path] = ReadWholeFile(found.path().string(), 1 << 24);
    }
  };
  add_tree(facts.data_directory, "");
  add_tree(fmt::format("{}/media", kOutside), "media/1/");
  // A restore writes its own settings into these.
  files.erase("postgresql.conf");
  files.erase("postgresql.auto.conf");
  std::string list;
  for (const auto& [path, content] : files) list += Sha256Of(content) + "  " + path + "\n";
  WriteFileDurably(target_ + "/" + name + ".sha256", AsBytes(list), 0644);
}

TEST_F(FormatV1Writer, DISABLED_WritesTheRepository) {
  ASSERT_FALSE(target_.empty()) << "BACKUP_EXT_FORMAT_V1 names the directory to write to";
  WriteFirstContent();
  sleep(2);  // what is younger than that is stored again by the next backup
  Take("full", std::nullopt);
  const BackupRecord full = record;
  AddPinNote(repository, full.backup_id, {Now(), kPinnedForEver});
  AddVerifyNote(repository, full.backup_id, {Now(), 0, "", 12345});
  for (int i = 0; i < 3; ++i) wal_.Append(50);
  WriteSecondContent();
  Take("incremental", full);
  RunReport report;
  report.job_id = NewJobId(record.started_at);
  report.backup_id = record.backup_id;
  report.operation = "backup";
  report.trigger = "manual";
  report.kind = "incremental";
  report.result = "succeeded";
  report.started_at = record.started_at;
  report.finished_at = record.finished_at;
  report.host = "example";
  report.data_directory = record.data_directory;
  AddToHistory(repository, report);
  lock.reset();
  for (const char* of_no_backup : {"locks", "tmp"}) {
    std::filesystem::remove_all(repository.location() + "/" + of_no_backup);
  }
  std::filesystem::copy(repository.location(), target_ + "/repository",
                        std::filesystem::copy_options::recursive);
}

}  // namespace
}  // namespace backup_ext
