// The one error type of the core, and what its codes mean to PostgreSQL and to a shell.
//
// Thrown only for what ends the operation. "Not found", "page changed while reading" and
// "damage found" are return values.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace backup_ext {

enum class ErrorCode {
  kInternal,               // a fault of ours
  kInvalidArgument,        // the caller named something that cannot be
  kNotFound,               // a backup, stage or object that does not exist
  kAlreadyExists,          // a name that is taken, a directory that is not empty
  kPermissionDenied,       // the operating system refuses
  kNoSpace,                // a file system is full, or would be
  kNoResources,            // no memory, no descriptor, no thread is left
  kIo,                     // any other failure of the operating system
  kNoRepository,           // the repository is not there
  kWrongCluster,           // the repository belongs to another cluster
  kUnsupportedFormat,      // written by a newer version
  kDamaged,                // what was read is not what was written
  kLocked,                 // somebody else is writing
  kCanceled,               // the user asked
  kTerminated,             // the server asked the process to end
  kNotInPrerequisiteState  // a setting or the state of the server forbids it
};

// Five characters, for ereport(). Source: src/backend/utils/errcodes.txt.
[[nodiscard]] std::string_view SqlState(ErrorCode code);

// 1 failed, 2 usage, 3 damaged, 10 no repository, 11 locked.
[[nodiscard]] int ExitCode(ErrorCode code);

// `message`: lower case, no full stop, what was attempted and why it failed. `detail` and `hint`:
// full sentences, or empty. Never holds a secret.
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message, std::string detail = {}, std::string hint = {});

  [[nodiscard]] ErrorCode code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }
  [[nodiscard]] const std::string& detail() const { return detail_; }
  [[nodiscard]] const std::string& hint() const { return hint_; }
  // The SQLSTATE to report: that of an error that came from PostgreSQL itself, else SqlState(code).
  [[nodiscard]] const std::string& sql_state() const { return sql_state_; }
  void set_sql_state(std::string sql_state) { sql_state_ = std::move(sql_state); }
  // Somebody asked for the end: kCanceled, kTerminated.
  [[nodiscard]] bool is_cancel() const {
    return code_ == ErrorCode::kCanceled || code_ == ErrorCode::kTerminated;
  }
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorCode code_;
  std::string message_;
  std::string detail_;
  std::string hint_;
  std::string sql_state_;
};

// `could not <attempt>: <strerror>`, with the code that fits `error_number`
// (ENOSPC, EDQUOT -> kNoSpace; ENOMEM, EMFILE, ENFILE, EAGAIN -> kNoResources; EACCES, EPERM,
// EROFS -> kPermissionDenied; ENOENT -> kNotFound; EEXIST, ENOTEMPTY -> kAlreadyExists; any other
// -> kIo).
// Thread-safe.
[[nodiscard]] Error SystemError(std::string_view attempt, int error_number);
// Throws it, for `<verb> "<path>"`.
[[noreturn]] void ThrowSystemError(std::string_view verb, const std::string& path,
                                   int error_number);

}  // namespace backup_ext
