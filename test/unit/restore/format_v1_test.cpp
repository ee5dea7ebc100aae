// A repository of format version 1, stored when that was new, is verified and restored by today's
// code. test/data/format_v1/README.md tells what it is.
#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>

#include "base/sha256_of.h"
#include "restore/restore_test_support.h"
#include "store/history.h"
#include "store/notes.h"
#include "verify/verify_run.h"

namespace backup_ext {
namespace {

const std::string kFormatV1 = std::string(BACKUP_EXT_TEST_DATA) + "/format_v1";

// Owner and modes of the stored one are those of a checkout: only a copy is fit to be opened.
Repository OpenCopy(const std::string& location) {
  namespace fs = std::filesystem;
  fs::copy(kFormatV1 + "/repository", location, fs::copy_options::recursive);
  fs::permissions(location, fs::perms::owner_all);
  for (const auto& found : fs::recursive_directory_iterator(location)) {
    if (found.is_directory()) fs::permissions(found.path(), fs::perms::owner_all);
  }
  return Repository::Open(location);
}

class FormatV1Test : public testing::Test {
 protected:
  // Every file, by path; media as `media/1/...`, as in the stored lists.
  [[nodiscard]] std::map<std::string, std::string> ReadStage(const std::string& stage) const {
    std::map<std::string, std::string> digests;
    const auto add = [&](const std::string& directory, const std::string& prefix) {
      const auto follow = std::filesystem::directory_options::follow_directory_symlink;
      for (const auto& found : std::filesystem::recursive_directory_iterator(directory, follow)) {
        if (!found.is_regular_file()) continue;
        const std::string path = found.path().string();
        digests[prefix + path.substr(directory.size() + 1)] =
            Sha256Of(ReadWholeFile(path, 1 << 24));
      }
    };
    add(stage, "");
    add(stage + ".media", "media/");
    return digests;
  }

  static std::map<std::string, std::string> ReadList(const std::string& name) {
    std::map<std::string, std::string> digests;
    std::istringstream lines(ReadText(kFormatV1 + "/" + name + ".sha256"));
    for (std::string digest, path; lines >> digest && std::getline(lines >> std::ws, path);) {
      digests[path] = digest;
    }
    return digests;
  }

  void ExpectRestored(const BackupRecord& record) {
    SCOPED_TRACE(record.kind);
    Progress progress;
    const VerifyResult verified = VerifyBackup(repository_, record.backup_id, 1, &progress, [] {});
    for (const VerifyProblem& problem : verified.problems) {
      ADD_FAILURE() << problem.path << ": " << problem.problem;
    }
    StageOptions options;
    options.stage_id = NewStageId(Now());
    options.directory = directory_ / record.kind;
    options.media = MediaChoice::kInclude;
    options.forbidden = {repository_.location()};
    static_cast<void>(RestoreToStage(repository_, record, options, &progress, [] {}));

    std::map<std::string, std::string> restored = ReadStage(options.directory);
    const std::map<std::string, std::string> stored = ReadList(record.kind);
    EXPECT_GT(stored.size(), 10U);
    for (const auto& [path, digest] : stored) {
      EXPECT_EQ(restored[path], digest) << path;
      restored.erase(path);
    }
    // What is left a restore writes itself.
    const std::set<std::string> own = {"backup_ext_conf/index", "backup_manifest",
                                       "postgresql.auto.conf",  "postgresql.conf",
                                       "recovery.signal",       "tablespace_map"};
    for (const auto& [path, digest] : restored) {
      EXPECT_TRUE(own.contains(path) || path.find("backup_ext_stage/") != std::string::npos ||
                  path.starts_with("pg_wal/archive_status/"))
          << path;
    }
  }

  TemporaryDirectory directory_;
  const Repository repository_ = OpenCopy(directory_ / "repository");
};

TEST_F(FormatV1Test, IsVerifiedAndRestored) {
  const Catalog catalog = ReadCatalog(repository_);
  EXPECT_TRUE(catalog.unreadable.empty());
  ASSERT_EQ(catalog.backups.size(), 2U);
  EXPECT_EQ(catalog.backups[0].kind, "incremental");
  EXPECT_EQ(catalog.backups[1].kind, "full");
  // The incremental one refers to most of what the full one stored of the cluster.
  const auto has_most = [&](const PackUse& use) {
    return use.pack.backup_id == catalog.backups[1].backup_id && use.used_bytes > 10'000;
  };
  EXPECT_TRUE(std::ranges::any_of(catalog.backups[0].packs, has_most));
  for (const BackupRecord& record : catalog.backups) ExpectRestored(record);
}

TEST_F(FormatV1Test, TellsWhatIsNotedOfItsBackups) {
  const BackupRecord full = ReadCatalog(repository_).backups.at(1);
  const BackupNotes notes = ReadNotes(repository_, full.backup_id);
  ASSERT_TRUE(notes.pin);
  EXPECT_EQ(notes.pin->pinned_until, kPinnedForEver);
  ASSERT_TRUE(notes.verify);
  EXPECT_EQ(notes.verify->checked_bytes, 12345U);
  const std::vector<RunReport> history = ReadHistory(repository_, 0);
  ASSERT_EQ(history.size(), 1U);
  EXPECT_EQ(history[0].result, "succeeded");
}

}  // namespace
}  // namespace backup_ext
