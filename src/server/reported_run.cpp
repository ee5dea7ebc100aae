// The frame around the work of every job.
#include "reported_run.h"

#include <fmt/format.h>

#include <exception>
#include <string>

#include "base/clock.h"

#include "guard.h"
#include "job_end.h"
#include "postgres_headers.h"
#include "run_history.h"
#include "settings.h"

namespace backup_ext {
namespace {

void Log(const std::string& text) {
  const char* const message = text.c_str();
  CallPostgresUninterrupted([&] { ereport(LOG, (errmsg_internal("%s", message))); });
}

std::string NameOf(const RunReport& report) {
  if (!report.stage_id.empty()) return report.stage_id;
  return report.operation == "expire" ? report.job_id : report.backup_id;
}

std::string StartDetails(const RunReport& report) {
  std::string text = "trigger " + report.trigger;
  if (!report.stage_id.empty()) text += ", backup " + report.backup_id;
  if (report.operation != "expire") {
    text += fmt::format(", workers {}", WorkerThreads(CurrentSettings()));
  }
  return text;
}

std::string Figures(const RunReport& report) {
  const double seconds =
      static_cast<double>(report.finished_at - report.started_at) / kMicrosecondsPerSecond;
  if (report.operation == "expire") {
    return fmt::format("{} backups removed, {} bytes freed, {:.1f} s", report.files,
                       report.freed_bytes, seconds);
  }
  return fmt::format("{} bytes in {} files, {:.1f} s", report.database_bytes, report.files,
                     seconds);
}

void LogEnd(const RunReport& report) {
  std::string text = Figures(report);
  if (report.result != "succeeded") {
    text += ": " + report.error;
  } else if (report.operation == "backup") {
    return;  // its job has said it, before it removed older ones
  }
  LogRunEnd(report.operation.c_str(), NameOf(report),
            report.result == "succeeded" ? "finished" : report.result.c_str(), text);
}

void Conclude(const JobSlot& slot, const PlainError* error) noexcept {
  try {
    JobEnd end;
    DescribeEnd(slot, error, &end);
    const RunReport report = ReportOf(end);
    RememberEnd(report);
    LogEnd(report);
  } catch (...) {
    // No memory for the words: the job ended as it did.
  }
}

}  // namespace

void LogRunStart(const char* operation, const std::string& name, const std::string& details) {
  Log(fmt::format("backup_ext: {} {} started: {}", operation, name, details));
}

void LogRunEnd(const char* operation, const std::string& name, const char* result,
               const std::string& figures) {
  Log(fmt::format("backup_ext: {} {} {}: {}", operation, name, result, figures));
}

void RunReported(JobSlot* slot, const std::function<void()>& work) {
  JobEnd begin;
  DescribeEnd(*slot, nullptr, &begin);
  RunReport report = ReportOf(begin);
  report.result = "running";
  report.finished_at = report.started_at;
  RememberBegin(report);
  if (report.operation != "backup") {
    LogRunStart(report.operation.c_str(), NameOf(report), StartDetails(report));
  }
  std::exception_ptr failure;
  PlainError error;
  try {
    work();
  } catch (...) {
    DescribeCurrentException(&error);
    failure = std::current_exception();
  }
  Conclude(*slot, failure ? &error : nullptr);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace backup_ext
