// A verify, seen from the server.
#include "verify_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "base/error.h"
#include "store/repository.h"
#include "verify/remember.h"
#include "verify/verify_run.h"

#include "cluster_state.h"
#include "guard.h"
#include "pause_point.h"
#include "postgres_headers.h"
#include "settings.h"
#include "stage_job.h"
#include "verify_rows.h"

namespace backup_ext {
namespace {

void Warn(const std::string& message, const std::string& hint) {
  const char* const text = message.c_str();
  const char* const advice = hint.c_str();
  CallPostgres([&] {
    ereport(WARNING, (errcode(ERRCODE_DATA_CORRUPTED), errmsg_internal("%s", text),
                      advice[0] == '\0' ? 0 : errhint("%s", advice)));
  });
}

void WarnOfDamage(const std::string& backup_id, const VerifyResult& result) {
  if (result.damaged_files == 0) return;
  Warn(fmt::format("backup {} is damaged: {} {}, the first is {}", backup_id, result.damaged_files,
                   result.damaged_files == 1 ? "file" : "files", FirstProblem(result)),
       fmt::format("Take a new backup, and look at the repository's storage. SELECT * FROM "
                   "backup_verify('{}') names every file.",
                   backup_id));
}

void HandOver(const VerifyResult& result, uint32 segment_handle) {
  if (segment_handle == 0) return;
  const Bytes rows = EncodeVerifyRows(result, kVerifyRowsRoom);
  const std::byte* const data = rows.data();
  const size_t size = rows.size();
  CallPostgres([&] {
    dsm_segment* const segment = dsm_attach(segment_handle);
    if (segment == nullptr) return;  // nobody waits any more
    if (size <= dsm_segment_map_length(segment)) {
      std::memcpy(dsm_segment_address(segment), data, size);
    }
    dsm_detach(segment);
  });
}

// Empty, or why it could not.
std::string Remember(const Repository& repository, const std::string& backup_id,
                     const VerifyResult& result) {
  try {
    RequireOwner(repository);
  } catch (const Error& error) {
    return NotRemembered(backup_id, error);
  }
  return RememberVerify(repository, backup_id, result);
}

}  // namespace

void RunVerify(const JobRequest& request, JobSlot* slot) {
  const Settings settings = CurrentSettings();
  const std::string backup_id = request.backup_id;
  const Repository repository = OpenOwnRepository();
  const VerifyResult result = VerifyBackup(repository, backup_id, WorkerThreads(settings),
                                           &slot->progress, [slot] { PausePoint(*slot); });
  // The last moment at which a cancel is heard: from here on there is a result.
  ThrowIfJobMustEnd(*slot);
  const std::string forgotten = Remember(repository, backup_id, result);
  WarnOfDamage(backup_id, result);
  if (!forgotten.empty()) {
    Warn(forgotten, "");
    const size_t length = std::min(forgotten.size(), sizeof(slot->warning) - 1);
    std::memcpy(slot->warning, forgotten.data(), length);
    slot->warning[length] = '\0';
  }
  slot->figures.database_bytes = result.checked_bytes;
  HandOver(result, request.rows_segment);
}

}  // namespace backup_ext
