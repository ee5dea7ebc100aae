// What earlier backups hold: the newest that came to a file counts, and which packs die out.
#include "backup/parent.h"

#include <filesystem>
#include <thread>

#include "backup_test_support.h"
#include "format/names.h"
#include "format/pack.h"
#include "store/catalog.h"

namespace backup_ext {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ParentTest : public BackupTest {
 protected:
  ParentTest() {
    options.untouched_margin = 0;
    options.keep_interrupted_from_bytes = 0;
  }
  BackupRecord NewRecord(uint64_t start_lsn) {
    options.backup_id = NewBackupId(Now());
    record = BackupRecord();
    record.backup_id = options.backup_id;
    record.system_identifier = kTestSystemIdentifier;
    record.start_lsn = start_lsn;
    return record;
  }
  BackupRecord Take(uint64_t start_lsn) {
    NewRecord(start_lsn);
    const auto run = NewRun();
    run->CopyCluster(start_lsn);
    run->Finish(&record, *lock);
    return record;
  }
};

TEST_F(ParentTest, TakesTheNewestThatHasTheFile) {
  MakeClusterDirectory("base/6");
  for (const char* path : {"base/5/16384", "base/5/16386", "base/6/16388"}) {
    Write(path, MakePages(10, 0x1000, 1));
  }
  const BackupRecord complete = Take(0x5000);
  std::filesystem::remove(Disk("base/5/16386"));
  Write("base/5/16387", MakePages(10, 0x1000, 1));
  Write("base/6/pg_filenode.map", "ends here");
  NewRecord(0x6000);
  server.on_relation_map = [&] {
    while (progress.files_done < 3) std::this_thread::yield();
    throw Error(ErrorCode::kCanceled, "canceled");
  };
  // Its small files wait for more of them: they hold back nothing that is finished.
  progress.files_done = 0;
  const auto run = NewRun();
  EXPECT_TRUE(ErrorOf([&] { run->CopyCluster(0x6000); }));
  ASSERT_TRUE(run->KeepInterrupted(&record, *lock));

  PackTable packs;
  ParentFiles parents(repository, {{record, true}, {complete, false}}, &packs);
  EXPECT_EQ(parents.Find("PG_VERSION")->start_lsn, 0x5000U);
  EXPECT_EQ(parents.Find("base/5/16384")->start_lsn, 0x6000U);
  EXPECT_EQ(parents.Find("base/5/16386")->start_lsn, 0x5000U);
  EXPECT_EQ(parents.Find("base/5/16387")->start_lsn, 0x6000U);
  EXPECT_FALSE(parents.Find("base/5/16389"));
  ASSERT_TRUE(parents.Find("base/6/16388"));
  EXPECT_FALSE(parents.Find("zzz"));
}

// Records as they would be: only what they list of packs counts here.
TEST_F(ParentTest, LetsPacksDieOutByTheCompleteParent) {
  Write("base/5/16384", MakePages(10, 0x1000, 1));
  options.threads = 1;
  BackupRecord complete = Take(0x5000);
  const PackId used{"20261122-100000-00000002", 0, 0};
  const PackId dying{"20261122-100000-00000002", 0, 1};
  const PackId small{"20261122-100000-00000002", 0, 2};
  const PackId partly{"20261122-100000-00000002", 0, 3};
  const PackId later{"20261122-100000-00000002", 0, 4};
  constexpr uint64_t kSize = 1'000'000;
  complete.packs.push_back({used, kSize / 2, kSize});
  complete.packs.push_back({dying, kSize / 10, kSize});
  complete.packs.push_back({small, 100, 60'000});
  complete.packs.push_back({partly, 4 * kSize, 10 * kSize});
  complete.packs.push_back({later, 4 * kSize + 1, 10 * kSize});
  complete.stored_bytes = 2 * (kSize / 10 + kSize);
  BackupRecord interrupted = complete;
  interrupted.packs.back().used_bytes = 10;
  using Found = std::vector<std::pair<PackId, uint64_t>>;
  const auto dying_of = [&](const std::vector<ParentBackup>& backups) {
    PackTable packs;
    const ParentFiles parents(repository, backups, &packs);
    Found found;
    for (const auto& [pack, until] : parents.dying_packs()) {
      found.emplace_back(packs.Find(pack), until);
    }
    return found;
  };
  // All of one, then the beginning of the next: what is left of the budget is a quarter of it.
  const Found expected = {{dying, kSize}, {partly, 10 * kSize / 4}};
  EXPECT_EQ(dying_of({{complete, false}}), expected);
  EXPECT_EQ(dying_of({{interrupted, true}, {complete, false}}), expected);
  EXPECT_THAT(dying_of({{interrupted, true}}), IsEmpty());
}

}  // namespace
}  // namespace backup_ext
