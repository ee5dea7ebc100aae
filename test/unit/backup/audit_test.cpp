// A full backup that compares what it reads with what an incremental one would have taken over.
#include "backup/audit.h"

#include <fcntl.h>

#include <span>

#include "backup_test_support.h"
#include "format/names.h"
#include "store/catalog.h"

namespace backup_ext {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kParentStart = kTestStartLsn;
constexpr uint64_t kFullStart = kTestStartLsn + 0x100000;
constexpr uint32_t kPages = 100;
constexpr uint32_t kRelation = 16384;
constexpr const char* kPath = "base/5/16384";

class AuditTest : public BackupTest {
 protected:
  // A backup of one relation, which the next run audits.
  void TakeParent() {
    facts.data_checksums = false;
    Write(kPath, MakePages(kPages, 0x1000, 1));
    Backup();
    record.start_lsn = kParentStart;
    options.audited = {{record, false}};
    // All files were made just now.
    options.untouched_margin = 0;
    options.backup_id = NewBackupId(Now());
  }
  // As a server does: into the file, in place. Nothing but the LSN (below 4 GB) is another one.
  void ChangePage(uint32_t page, uint64_t lsn) {
    const auto low = static_cast<uint32_t>(lsn);
    const FileDescriptor file = OpenFile(Disk(kPath), O_WRONLY);
    WriteAllAt(file.get(), std::as_bytes(std::span(&low, 1)),
               uint64_t{page} * kTestPageBytes + sizeof(uint32_t), kPath);
  }
  void Name(std::vector<uint32_t> blocks) {
    changes.Add({kDefaultTablespaceOid, 5, kRelation, kMainForkNumber}, blocks);
    changes.Seal();
    options.changes = &changes;
  }
  std::string FindingsOfFull() {
    const auto run = NewRun();
    run->CopyCluster(kFullStart);
    std::string findings = run->audit_findings();
    Finish(run.get());
    EXPECT_EQ(record.kind, "full");
    return findings;
  }

  ChangedBlocks changes;
};

TEST_F(AuditTest, SaysNothingOfWhatTheSummariesName) {
  TakeParent();
  ChangePage(3, kParentStart + 0x1000);
  Name({3});
  EXPECT_THAT(FindingsOfFull(), IsEmpty());
}

TEST_F(AuditTest, FindsAChangeThatTheSummariesDoNotName) {
  TakeParent();
  ChangePage(3, kParentStart + 0x1000);
  ChangePage(5, kParentStart + 0x1000);
  Name({3});
  EXPECT_THAT(FindingsOfFull(), HasSubstr("1 page differs: base/5/16384 block 5"));
}

TEST_F(AuditTest, LeavesOutWhatChangedSinceTheBackupBegan) {
  TakeParent();
  ChangePage(3, kParentStart + 0x1000);
  ChangePage(5, kFullStart + 0x1000);
  Name({3});
  EXPECT_THAT(FindingsOfFull(), IsEmpty());
}

TEST_F(AuditTest, BelievesThePageLsnWhereThereAreNoSummaries) {
  TakeParent();
  ChangePage(3, kParentStart + 0x1000);
  EXPECT_THAT(FindingsOfFull(), IsEmpty());
}

// What a snapshot of the file system would do that went unnoticed.
TEST_F(AuditTest, FindsAnOldPageThatIsNotTheParents) {
  TakeParent();
  ChangePage(3, 0x2000);
  EXPECT_THAT(FindingsOfFull(), HasSubstr("base/5/16384 block 3"));
}

// Files come and go in memory while one thread audits: one may lie where another lay, with a map of
// another shape.
TEST_F(AuditTest, MistakesNoFileForOneThatLayAtItsPlace) {
  facts.data_checksums = false;
  Write("base/5/16383", MakePages(kPages, 0x1000, 1));
  Write(kPath, MakePages(kPages, 0x1000, 2));
  for (uint32_t page = 0; page < kPages; ++page) ChangePage(page, 0x2000 + 8 * page);
  Backup();
  PackTable packs;
  ParentFiles parents(repository, {{record, false}}, &packs);
  AuditFindings findings;
  Auditor auditor({&repository, &packs, &facts, kFullStart, {}, &findings});
  std::optional<AuditedFile> file;
  const auto check = [&](const std::string& path, uint64_t first, uint64_t pages) {
    const Bytes content = ReadDisk(path);
    const ReadableFile readable{.path = path, .disk_path = &path};
    auditor.Check(*file, readable, first,
                  ByteSpan(content).subspan(first * kTestPageBytes, pages * kTestPageBytes));
  };
  file.emplace(AuditedFile{*parents.Find("base/5/16383"), 1, true, {}});
  check("base/5/16383", 0, 50);
  file.emplace(AuditedFile{*parents.Find(kPath), 2, true, {}});
  std::vector<PageRun>& runs = file->parent.entry.map.runs;
  runs.insert(runs.begin(), {1, runs[0].frame, 0});
  runs[1].units -= 1;
  runs[1].first_unit += 1;
  check(kPath, 50, 50);
  EXPECT_EQ(findings.Describe(), "");
}

TEST_F(AuditTest, StoresEverythingAllTheSame) {
  TakeParent();
  const auto run = NewRun();
  run->CopyCluster(kFullStart);
  const StoredBackup backup = Finish(run.get());
  EXPECT_EQ(backup.At(kPath).content, ReadDisk(kPath));
  for (const PackUse& use : record.packs) EXPECT_EQ(use.pack.backup_id, options.backup_id);
}

}  // namespace
}  // namespace backup_ext
