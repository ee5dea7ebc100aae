// What the tests of this room share: temporary directories, repositories, records, errors.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "format/names.h"
#include "format/record.h"
#include "store/repository.h"

namespace backup_ext {

inline constexpr uint64_t kTestSystemIdentifier = 7654321098765432109ULL;

// A new empty directory of mode 0700, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory()
      : path_(JoinPath(ResolvePath(testing::TempDir()), "store-" + HexEncode(RandomBytes(8)))) {
    MakeDirectory(path_);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(std::string_view name) const { return JoinPath(path_, name); }

 private:
  std::string path_;
};

// A file system of 512 KiB of its own, where the machine lets us mount one.
class SmallFileSystem {
 public:
  SmallFileSystem() {
    mounted_ = geteuid() == 0 &&
               mount("none", directory_.path().c_str(), "tmpfs", 0, "size=512k,mode=0700") == 0;
  }
  ~SmallFileSystem() { Unmount(); }
  void Unmount() {
    if (mounted_) umount2(directory_.path().c_str(), MNT_DETACH);
    mounted_ = false;
  }
  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] const std::string& path() const { return directory_.path(); }

 private:
  TemporaryDirectory directory_;
  bool mounted_ = false;
};

// The error that `call` throws; nothing when it throws none.
inline std::optional<Error> ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

#define EXPECT_ERROR(call, expected_code, message_part)                            \
  do {                                                                             \
    const std::optional<Error> thrown = ErrorOf([&] { static_cast<void>(call); }); \
    ASSERT_TRUE(thrown.has_value()) << "no error from " #call;                     \
    EXPECT_EQ(thrown->code(), expected_code) << thrown->message();                 \
    EXPECT_THAT(thrown->message(), testing::HasSubstr(message_part));              \
  } while (false)

inline std::string ReadText(const std::string& path) {
  return std::string(AsText(ReadWholeFile(path, 1 << 30)));
}

inline std::vector<std::string> NamesOf(const std::vector<ObjectInfo>& objects) {
  std::vector<std::string> names;
  for (const ObjectInfo& object : objects) names.push_back(object.name);
  return names;
}

inline std::vector<std::string> EntriesOf(const std::string& directory) {
  std::vector<std::string> names;
  for (const DirectoryEntry& entry :
       ReadDirectory(directory).value_or(std::vector<DirectoryEntry>())) {
    names.push_back(entry.name);
  }
  return names;
}

inline Repository MakeTestRepository(const std::string& location) {
  return Repository::OpenOrCreate(location, {kTestSystemIdentifier});
}

// 2026-11-23 plus `hours`, with the last part of the id made of `hours` too.
inline std::string TestBackupId(int hours) {
  return fmt::format("20261123-{:02}0000-{:08x}", hours, hours);
}

inline BackupRecord TestRecord(const std::string& backup_id, const std::vector<PackId>& packs) {
  BackupRecord record;
  record.backup_id = backup_id;
  record.kind = "full";
  record.trigger = "manual";
  record.state = "complete";
  record.started_at = ParseTime("2026-11-23T" + backup_id.substr(9, 2) + ":00:00.000000Z");
  record.finished_at = record.started_at + kMicrosecondsPerSecond;
  record.system_identifier = kTestSystemIdentifier;
  record.timeline = 1;
  record.server_version = "15.18";
  for (const PackId& pack : packs) record.packs.push_back({pack, 100, 200});
  return record;
}

}  // namespace backup_ext
