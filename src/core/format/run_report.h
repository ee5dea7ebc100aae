// What is told of one run (a backup, a restore, a verify, a removal of old backups): the history
// keeps it, and `event_command` and NOTIFY hand it on.
//
// history/<yyyy>/<mm>/<job-id>.json, documented in doc/repository_format.md, "History".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace backup_ext {

struct RunReport {
  std::string job_id;
  std::string operation;  // "backup", "restore", "verify", "expire"
  std::string trigger;    // "manual", "schedule"
  std::string kind;       // of a backup: "full", "incremental"; empty: it did not come to that
  std::string backup_id;  // empty: the operation has none
  std::string stage_id;   // of a restore
  std::string label;
  // "succeeded", "failed", "canceled"; "running" only in the server's own directory.
  std::string result;
  Microseconds started_at = 0;
  Microseconds finished_at = 0;  // while it runs: started_at
  uint64_t database_bytes = 0;   // plain bytes that were copied, restored or checked
  uint64_t stored_bytes = 0;     // what a backup added to the repository
  uint64_t freed_bytes = 0;      // what the removal of old backups gave back
  uint64_t files = 0;            // files copied, restored or checked; backups removed
  std::string error;             // message of a run that failed or was cancelled
  std::string detail;
  std::string hint;
  std::string host;
  std::string data_directory;
  bool operator==(const RunReport&) const = default;
};

[[nodiscard]] std::string EncodeRunReport(const RunReport& report);
// Throws Error(kDamaged) and Error(kUnsupportedFormat); unknown fields are ignored.
[[nodiscard]] RunReport DecodeRunReport(std::string_view text);

// For programs that listen: one line of JSON without a digest. Text that is not UTF-8 has its wrong
// bytes replaced. With `limit_bytes` long texts are cut until it fits.
[[nodiscard]] std::string DescribeRun(const RunReport& report, size_t limit_bytes);

}  // namespace backup_ext
