// The end of a job as plain data, and the report that is made of it.
#include "job_end.h"

#include "base/machine.h"

#include "timestamp.h"

namespace backup_ext {

void DescribeEnd(const JobSlot& slot, const PlainError* error, JobEnd* end) {
  end->request = slot.request;
  end->figures = slot.figures;
  // What there was when it failed, too.
  if (end->figures.database_bytes == 0) end->figures.database_bytes = slot.progress.bytes_done;
  if (end->figures.files == 0) end->figures.files = slot.progress.files_done;
  end->started_at = slot.started_at;
  end->finished_at = GetCurrentTimestamp();
  end->succeeded = error == nullptr;
  if (error != nullptr) end->error = *error;
  if (error == nullptr) end->error = {};
}

RunReport ReportOf(const JobEnd& end) {
  const JobRequest& request = end.request;
  RunReport report;
  report.job_id = request.job_id;
  report.operation = OperationName(request.kind);
  report.trigger = request.trigger;
  report.kind = end.figures.kind;
  report.backup_id = request.backup_id;
  report.stage_id = request.stage_id;
  report.label = request.label;
  report.result = end.succeeded ? "succeeded" : end.error.canceled ? "canceled" : "failed";
  report.started_at = FromTimestamp(end.started_at);
  report.finished_at = FromTimestamp(end.finished_at);
  report.database_bytes = end.figures.database_bytes;
  report.stored_bytes = end.figures.stored_bytes;
  report.freed_bytes = end.figures.freed_bytes;
  report.files = end.figures.files;
  report.error = end.error.message;
  report.detail = end.error.detail;
  report.hint = end.error.hint;
  report.host = HostName();
  report.data_directory = DataDir;
  return report;
}

void NameJob(const JobRequest& request, char* text, size_t room) {
  const char* name = request.backup_id;
  if (request.kind == JobKind::kStage) name = request.stage_id;
  if (request.kind == JobKind::kExpire) name = request.job_id;
  snprintf(text, room, "%s %s", OperationName(request.kind), name);
}

}  // namespace backup_ext
