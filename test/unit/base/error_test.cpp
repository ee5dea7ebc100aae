// Error codes and what they become.
#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace backup_ext {
namespace {

TEST(SystemError, NamesTheAttemptAndTheReason) {
  const Error error = SystemError("read file \"x\"", ENOENT);
  EXPECT_EQ(error.message(), "could not read file \"x\": No such file or directory");
  EXPECT_STREQ(error.what(), error.message().c_str());
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
}

TEST(SystemError, MapsErrnoToCodes) {
  const std::pair<int, ErrorCode> cases[] = {
      {ENOSPC, ErrorCode::kNoSpace},          {EDQUOT, ErrorCode::kNoSpace},
      {EACCES, ErrorCode::kPermissionDenied}, {EPERM, ErrorCode::kPermissionDenied},
      {EROFS, ErrorCode::kPermissionDenied},  {ENOENT, ErrorCode::kNotFound},
      {EEXIST, ErrorCode::kAlreadyExists},    {EIO, ErrorCode::kIo},
  };
  for (const auto& [error_number, code] : cases) {
    EXPECT_EQ(SystemError("x", error_number).code(), code) << error_number;
  }
}

TEST(Error, CarriesTheServersOwnSqlState) {
  Error error(ErrorCode::kDamaged, "message", "Detail.", "Hint.");
  EXPECT_EQ(error.sql_state(), "XX001");
  error.set_sql_state("42P01");
  EXPECT_EQ(error.sql_state(), "42P01");
}

TEST(Error, ExitCodesAreTheDocumentedOnes) {
  EXPECT_EQ(ExitCode(ErrorCode::kIo), 1);
  EXPECT_EQ(ExitCode(ErrorCode::kInvalidArgument), 2);
  EXPECT_EQ(ExitCode(ErrorCode::kDamaged), 3);
  EXPECT_EQ(ExitCode(ErrorCode::kNoRepository), 10);
  EXPECT_EQ(ExitCode(ErrorCode::kLocked), 11);
}

TEST(Error, EverySqlStateHasFiveCharacters) {
  for (int code = 0; code <= static_cast<int>(ErrorCode::kNotInPrerequisiteState); ++code) {
    EXPECT_EQ(SqlState(static_cast<ErrorCode>(code)).size(), 5U) << code;
  }
}

}  // namespace
}  // namespace backup_ext
