// What each error code means to PostgreSQL, to a shell and to the operating system.
#include "base/error.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace backup_ext {
namespace {

ErrorCode CodeOfErrno(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return ErrorCode::kNoSpace;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
      return ErrorCode::kNoResources;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::kPermissionDenied;
    case ENOENT:
      return ErrorCode::kNotFound;
    case EEXIST:
    case ENOTEMPTY:
      return ErrorCode::kAlreadyExists;
    default:
      return ErrorCode::kIo;
  }
}

}  // namespace

std::string_view SqlState(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInternal:
      return "XX000";  // internal_error
    case ErrorCode::kInvalidArgument:
      return "22023";  // invalid_parameter_value
    case ErrorCode::kNotFound:
      return "42704";  // undefined_object
    case ErrorCode::kAlreadyExists:
      return "58P02";  // duplicate_file
    case ErrorCode::kPermissionDenied:
      return "42501";  // insufficient_privilege
    case ErrorCode::kNoSpace:
      return "53100";  // disk_full
    case ErrorCode::kNoResources:
      return "53000";  // insufficient_resources
    case ErrorCode::kIo:
      return "58030";  // io_error
    case ErrorCode::kNoRepository:
      return "58P01";  // undefined_file
    case ErrorCode::kWrongCluster:
      return "55000";  // object_not_in_prerequisite_state
    case ErrorCode::kUnsupportedFormat:
      return "0A000";  // feature_not_supported
    case ErrorCode::kDamaged:
      return "XX001";  // data_corrupted
    case ErrorCode::kLocked:
      return "55P03";  // lock_not_available
    case ErrorCode::kCanceled:
      return "57014";  // query_canceled
    case ErrorCode::kTerminated:
      return "57P01";  // admin_shutdown
    case ErrorCode::kNotInPrerequisiteState:
      return "55000";  // object_not_in_prerequisite_state
  }
  return "XX000";
}

int ExitCode(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return 2;
    case ErrorCode::kDamaged:
      return 3;
    case ErrorCode::kNoRepository:
      return 10;
    case ErrorCode::kLocked:
      return 11;
    default:
      return 1;
  }
}

Error::Error(ErrorCode code, std::string message, std::string detail, std::string hint)
    : code_(code),
      message_(std::move(message)),
      detail_(std::move(detail)),
      hint_(std::move(hint)),
      sql_state_(SqlState(code)) {}

Error SystemError(std::string_view attempt, int error_number) {
  char buffer[128];
  // The GNU form: may return a constant instead of filling the buffer.
  const char* reason = strerror_r(error_number, buffer, sizeof(buffer));
  return Error(CodeOfErrno(error_number), fmt::format("could not {}: {}", attempt, reason));
}

void ThrowSystemError(std::string_view verb, const std::string& path, int error_number) {
  throw SystemError(fmt::format("{} \"{}\"", verb, path), error_number);
}

}  // namespace backup_ext
