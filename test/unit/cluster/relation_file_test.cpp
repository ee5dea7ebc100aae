// Names and directories of relation files, in tables.
#include "cluster/relation_file.h"

#include <gtest/gtest.h>

namespace backup_ext {
namespace {

TEST(RelationFileName, IsReadInAllItsParts) {
  struct Row {
    std::string_view name;
    RelationFileName expected;
  };
  const Row rows[] = {
      {"16384", {16384, Fork::kMain, 0}},
      {"1", {1, Fork::kMain, 0}},
      {"4294967295", {4294967295, Fork::kMain, 0}},
      {"16384.1", {16384, Fork::kMain, 1}},
      {"16384.12", {16384, Fork::kMain, 12}},
      {"16384.4294967295", {16384, Fork::kMain, 4294967295}},
      {"16384_fsm", {16384, Fork::kFreeSpaceMap, 0}},
      {"16384_vm", {16384, Fork::kVisibilityMap, 0}},
      {"16384_init", {16384, Fork::kInit, 0}},
      {"16384_fsm.2", {16384, Fork::kFreeSpaceMap, 2}},
      {"16384_vm.10", {16384, Fork::kVisibilityMap, 10}},
      {"16384_init.1", {16384, Fork::kInit, 1}},
  };
  for (const Row& row : rows) EXPECT_EQ(ParseRelationFileName(row.name), row.expected) << row.name;
}

TEST(RelationFileName, IsNoOtherName) {
  for (const std::string_view name : {"",
                                      "0",
                                      "00",
                                      "016384",
                                      "4294967296",
                                      "99999999999999999999999",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "16384.",
                                      "16384.0",
                                      "16384.01",
                                      "16384.4294967296",
                                      "16384.1.2",
                                      "16384.x",
                                      "16384.-1",
                                      "16384.+1",
                                      "16384_",
                                      "16384_main",
                                      "16384_FSM",
                                      "16384_fsmx",
                                      "16384_vm_fsm",
                                      "16384_vm.",
                                      "16384_vm.0",
                                      "16384.1_vm",
                                      "16384x",
                                      "0x10",
                                      "t3_16384",
                                      "PG_VERSION",
                                      "pg_filenode.map",
                                      "pg_internal.init",
                                      "pg_control",
                                      "16384\n"}) {
    EXPECT_FALSE(ParseRelationFileName(name).has_value()) << name;
  }
  EXPECT_FALSE(ParseRelationFileName(std::string_view("16384\0", 6)).has_value());
}

TEST(TemporaryRelationName, IsKnown) {
  for (const std::string_view name :
       {"t3_16384", "t0_0", "t3_16384_vm", "t3_16384_fsm", "t3_16384_init", "t3_16384.1",
        "t3_16384_vm.1", "t3_16384.0", "t003_016384.01", "t99999999999_99999999999"}) {
    EXPECT_TRUE(IsTemporaryRelationName(name)) << name;
  }
}

TEST(TemporaryRelationName, IsNoOtherName) {
  for (const std::string_view name : {"",
                                      "t",
                                      "t3",
                                      "t3_",
                                      "t_16384",
                                      "t3_16384_",
                                      "t3_16384_main",
                                      "t3_16384.",
                                      "t3_16384.x",
                                      "t3_16384_vm.",
                                      "t3_16384_vmx",
                                      "t3_16384.1.2",
                                      "t3_16384.1_vm",
                                      "T3_16384",
                                      "3_16384",
                                      "16384",
                                      "t3-16384",
                                      "t3_x",
                                      "tx_1",
                                      "t3_16384 "}) {
    EXPECT_FALSE(IsTemporaryRelationName(name)) << name;
  }
}

struct DirectoryRow {
  std::string_view path;
  bool has_relations;
  uint32_t database;
};

TEST(RelationDirectory, IsKnownByItsPath) {
  const DirectoryRow rows[] = {
      {"global", true, 0},
      {"base/1", true, 1},
      {"base/16384", true, 16384},
      {"base/4294967295", true, 4294967295},
      {"pg_tblspc/16385/PG_15_202209061/5", true, 5},
      {"pg_tblspc/16385/PG_18_202506291/16384", true, 16384},
      {"", false, 0},
      {"base", false, 0},
      {"base/", false, 0},
      {"base/0", false, 0},
      {"base/05", false, 0},
      {"base/5/", false, 0},
      {"base/5/6", false, 0},
      {"base/4294967296", false, 0},
      {"base/pgsql_tmp", false, 0},
      {"xbase/5", false, 0},
      {"global/5", false, 0},
      {"global/", false, 0},
      {"pg_xact", false, 0},
      {"pg_tblspc", false, 0},
      {"pg_tblspc/5", false, 0},
      {"pg_tblspc/16385/PG_15_202209061", false, 0},
      {"pg_tblspc/16385/PG_15_202209061/", false, 0},
      {"pg_tblspc/16385/PG_15_202209061/pgsql_tmp", false, 0},
      {"pg_tblspc/16385/PG_15_202209061/5/6", false, 0},
      {"pg_tblspc/16385/PG_15/5", false, 0},
      {"pg_tblspc/16385/PG__202209061/5", false, 0},
      {"pg_tblspc/16385/other/5", false, 0},
      {"pg_tblspc/x/PG_15_202209061/5", false, 0},
      {"pg_tblspc/PG_15_202209061/5", false, 0},
  };
  for (const DirectoryRow& row : rows) {
    EXPECT_EQ(IsRelationDirectory(row.path), row.has_relations) << row.path;
    EXPECT_EQ(IsDatabaseDirectory(row.path), row.database != 0) << row.path;
    EXPECT_EQ(DatabaseOfDirectory(row.path), row.database) << row.path;
  }
}

}  // namespace
TEST(Oid, IsANumberWithOneSpelling) {
  for (const std::string_view name : {"1", "16399", "4294967295"}) EXPECT_TRUE(IsOid(name)) << name;
  for (const std::string_view name : {"", "0", "016399", "4294967296", "16399x", "-1", " 1"}) {
    EXPECT_FALSE(IsOid(name)) << name;
  }
}

}  // namespace backup_ext
