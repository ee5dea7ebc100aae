// SQL: backup_export.
#include <cstring>
#include <string>

#include "base/clock.h"
#include "format/names.h"
#include "restore/export_run.h"

#include "boundary.h"
#include "function_arguments.h"
#include "jobs.h"
#include "postgres_headers.h"
#include "settings.h"
#include "target_directory.h"

namespace backup_ext {
namespace {

struct ExportArguments {
  const char* backup_id;
  const char* directory;
  const char* format;
  bool superuser;
};

void FillExportRequest(const ExportArguments& arguments, JobRequest* request) {
  (void)ParseExportFormat(arguments.format);
  const std::string backup_id = BackupIdArgument(arguments.backup_id);
  (void)RequireRepository(CurrentSettings());
  request->kind = JobKind::kExport;
  CopyArgument(backup_id, "backup id", request->backup_id);
  CopyArgument(NewJobId(Now()), "job id", request->job_id);
  CopyArgument("manual", "trigger", request->trigger);
  CopyArgument(TargetDirectory(arguments.directory, arguments.superuser, "export into"),
               "directory", request->directory);
  CopyArgument(arguments.format, "format", request->export_format);
}

}  // namespace
}  // namespace backup_ext

extern "C" {

PG_FUNCTION_INFO_V1(backup_ext_backup_export);

// backup_id, directory, format
Datum backup_ext_backup_export(PG_FUNCTION_ARGS) {
  using namespace backup_ext;
  ExportArguments arguments;
  JobRequest request;
  std::memset(static_cast<void*>(&request), 0, sizeof(request));
  RequirePreloaded();
  arguments.backup_id = TextArgument(fcinfo, 0);
  arguments.directory = TextArgument(fcinfo, 1);
  arguments.format = TextArgument(fcinfo, 2);
  arguments.superuser = superuser();
  RequireArgument(arguments.backup_id, "backup_id");
  RequireArgument(arguments.directory, "directory");
  RequireArgument(arguments.format, "format");
  Enter([&] { FillExportRequest(arguments, &request); });

  const StartedJob job = StartJob(&request, Waiting::kCallerWaits);
  WaitForJob(&job);
  PG_RETURN_VOID();
}

}  // extern "C"
