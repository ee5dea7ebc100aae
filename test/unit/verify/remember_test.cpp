#include "verify/remember.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/notes.h"
#include "verify/verify_test_support.h"

namespace backup_ext {
namespace {

using testing::HasSubstr;

class RememberTest : public testing::Test {
 protected:
  RememberTest() : backup_(directory_ / "repository") {
    backup_.AddMinimum();
    backup_.Commit();
  }
  BackupNotes Notes() { return ReadNotes(backup_.repository, kTestBackupId); }

  TemporaryDirectory directory_;
  BackupBuilder backup_;
};

TEST_F(RememberTest, TheCatalogKnowsTheNewestResult) {
  VerifyResult result;
  result.problems = {{"base/1/1259", "it is damaged", 8192}, {"base/1/2600", "too", std::nullopt}};
  result.damaged_files = 2;
  result.checked_bytes = 12345;
  EXPECT_EQ(RememberVerify(backup_.repository, kTestBackupId, result), "");
  ASSERT_TRUE(Notes().verify);
  EXPECT_EQ(Notes().verify->problems, 2U);
  EXPECT_EQ(Notes().verify->first_problem, "base/1/1259: it is damaged");
  EXPECT_EQ(Notes().verify->checked_bytes, 12345U);
  EXPECT_EQ(VerifyVerdict(Notes()), "damaged");

  EXPECT_EQ(RememberVerify(backup_.repository, kTestBackupId, {}), "");
  EXPECT_EQ(VerifyVerdict(Notes()), "ok");
}

TEST_F(RememberTest, WhatCannotBeRememberedIsNoError) {
  EXPECT_THAT(RememberVerify(backup_.repository, "20000101-000000-00000000", {}),
              HasSubstr("could not remember the result of verifying backup "
                        "20000101-000000-00000000: "));
}

}  // namespace
}  // namespace backup_ext
