// SQL: backup_verify.
#include <cstring>
#include <string>

#include "base/clock.h"
#include "format/names.h"
#include "store/catalog.h"

#include "boundary.h"
#include "function_arguments.h"
#include "jobs.h"
#include "postgres_headers.h"
#include "result_set.h"
#include "settings.h"
#include "stage_job.h"
#include "verify_rows.h"

namespace backup_ext {
namespace {

void FillVerifyRequest(const char* asked, JobRequest* request) {
  std::string backup_id = BackupIdArgument(asked);
  (void)RequireRepository(CurrentSettings());
  // Two verifies of one backup are told apart from two of different ones by its id.
  if (backup_id == "latest") backup_id = FindBackup(OpenOwnRepository(), "latest").backup_id;
  request->kind = JobKind::kVerify;
  CopyArgument(backup_id, "backup id", request->backup_id);
  CopyArgument(NewJobId(Now()), "job id", request->job_id);
  CopyArgument("manual", "trigger", request->trigger);
}

void ReturnRows(FunctionCallInfo call, const void* segment) {
  ResultSet rows(call);
  const ByteSpan bytes(static_cast<const std::byte*>(segment), kVerifyRowsRoom);
  for (const VerifyProblem& row : DecodeVerifyRows(bytes)) {
    rows.Add({TextOrNull(row.path), row.problem,
              row.offset_bytes ? SqlValue(static_cast<int64_t>(*row.offset_bytes))
                               : SqlValue(SqlNull{})});
  }
}

}  // namespace
}  // namespace backup_ext

extern "C" {

PG_FUNCTION_INFO_V1(backup_ext_backup_verify);

Datum backup_ext_backup_verify(PG_FUNCTION_ARGS) {
  using namespace backup_ext;
  JobRequest request;
  std::memset(static_cast<void*>(&request), 0, sizeof(request));
  RequirePreloaded();
  const char* const backup_id = TextArgument(fcinfo, 0);
  Enter([&] { FillVerifyRequest(backup_id, &request); });

  // Goes with the query when an error jumps over this frame.
  dsm_segment* const segment = dsm_create(kVerifyRowsRoom, 0);
  std::memset(dsm_segment_address(segment), 0, sizeof(uint64));
  request.rows_segment = dsm_segment_handle(segment);
  const StartedJob job = StartJob(&request, Waiting::kCallerWaits);
  WaitForJob(&job);
  const void* const rows = dsm_segment_address(segment);
  Enter([fcinfo, rows] { ReturnRows(fcinfo, rows); });
  dsm_detach(segment);
  return 0;
}

}  // extern "C"
