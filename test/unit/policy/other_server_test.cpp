// Which backups in the repository are of a server that does not belong to this one.
#include "policy/other_server.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace backup_ext {
namespace {

// "own" at time 10 is remembered by a primary that was promoted twice and is on timeline 3.
ThisServer Primary() {
  return {.in_recovery = false,
          .history = {{1, 0, 100}, {2, 100, 200}, {3, 200}},
          .host = "a",
          .data_directory = "/data",
          .remembered = {"own"}};
}

TakenBackup Own() { return {"own", 10, false, 3, 250, "a", "/data"}; }

struct Row {
  std::string_view name;
  TakenBackup backup;
  bool is_strange_to_primary;
  bool is_strange_to_standby;
};

TEST(OtherServer, IsFoundByTheBackupsThatItTook) {
  const Row rows[] = {
      {"own", Own(), false, false},
      {"of a copy, on the same timeline", {"x", 20, false, 3, 300, "b", "/data"}, true, false},
      {"of a copy on this machine", {"x", 20, false, 3, 300, "a", "/copy"}, true, false},
      {"of a standby", {"x", 20, true, 3, 300, "b", "/data"}, false, false},
      {"older than the own one", {"x", 9, false, 3, 240, "b", "/data"}, false, false},
      {"not remembered, but from this place", {"x", 20, false, 3, 300, "a", "/data"}, false, false},
      {"of the primary before", {"x", 20, false, 2, 200, "b", "/data"}, false, false},
      {"of the primary before, more than was replicated",
       {"x", 20, false, 2, 999, "b", "/data"},
       false,
       false},
      {"of who was promoted over us", {"x", 20, false, 4, 300, "b", "/data"}, true, false},
  };
  for (const Row& row : rows) {
    const std::vector<TakenBackup> backups = {row.backup, Own()};
    ThisServer server = Primary();
    EXPECT_EQ(BackupOfOtherServer(backups, server) != nullptr, row.is_strange_to_primary)
        << row.name;
    server.in_recovery = true;
    EXPECT_EQ(BackupOfOtherServer(backups, server) != nullptr, row.is_strange_to_standby)
        << row.name;
    server.in_recovery = false;
    server.remembered.clear();
    EXPECT_EQ(BackupOfOtherServer(backups, server), nullptr) << row.name << ", nothing remembered";
  }
}

TEST(OtherServer, OriginalIsLookedForWhereNothingIsRemembered) {
  struct OriginalRow {
    std::string_view name;
    TakenBackup backup;
    bool is_possible;
  };
  const OriginalRow rows[] = {
      {"on the same timeline", {"x", 20, false, 3, 300, "a", "/original"}, true},
      {"on the way that we came", {"x", 20, false, 2, 200, "a", "/original"}, false},
      {"beyond it", {"x", 20, false, 2, 201, "a", "/original"}, true},
      {"of a standby", {"x", 20, true, 3, 300, "a", "/original"}, false},
      {"from this place", {"x", 20, false, 3, 300, "a", "/data"}, false},
  };
  for (const OriginalRow& row : rows) {
    const std::vector<TakenBackup> backups = {row.backup};
    ThisServer server = Primary();
    server.remembered.clear();
    EXPECT_EQ(BackupOfPossibleOriginal(backups, server) != nullptr, row.is_possible) << row.name;
    server.in_recovery = true;
    EXPECT_EQ(BackupOfPossibleOriginal(backups, server), nullptr) << row.name;
    server.in_recovery = false;
    server.remembered = {"x"};
    EXPECT_EQ(BackupOfPossibleOriginal(backups, server), nullptr) << row.name;
  }
}

}  // namespace
}  // namespace backup_ext
