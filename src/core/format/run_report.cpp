// Reports of runs as JSON. doc/repository_format.md, "History", lists the members.
#include "format/run_report.h"

#include <fmt/core.h>

#include "base/error.h"
#include "format/sealed_json.h"

namespace backup_ext {
namespace {

constexpr uint32_t kReportVersion = 1;
constexpr std::string_view kReportWhat = "report of a run";

// The members in their order; `put` writes a text.
template <typename PutMember>
Json ToJson(const RunReport& report, PutMember put) {
  Json object;
  object["version"] = kReportVersion;
  put("job_id", report.job_id, &object);
  put("operation", report.operation, &object);
  put("result", report.result, &object);
  put("trigger", report.trigger, &object);
  put("kind", report.kind, &object);
  put("backup_id", report.backup_id, &object);
  put("stage_id", report.stage_id, &object);
  put("label", report.label, &object);
  object["started_at"] = FormatTime(report.started_at);
  object["finished_at"] = FormatTime(report.finished_at);
  object["database_bytes"] = report.database_bytes;
  object["stored_bytes"] = report.stored_bytes;
  object["freed_bytes"] = report.freed_bytes;
  object["files"] = report.files;
  put("error", report.error, &object);
  put("detail", report.detail, &object);
  put("hint", report.hint, &object);
  put("host", report.host, &object);
  put("data_directory", report.data_directory, &object);
  return object;
}

std::string DumpLine(const RunReport& report) {
  const Json object = ToJson(report, [](std::string_view name, std::string_view text, Json* into) {
    (*into)[std::string(name)] = std::string(text);
  });
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string EncodeRunReport(const RunReport& report) { return SealJson(ToJson(report, PutText)); }

RunReport DecodeRunReport(std::string_view text) {
  const Json object = OpenSealedJson(text, kReportWhat);
  const JsonFields fields(object, kReportWhat);
  if (const uint32_t version = fields.U32("version"); version > kReportVersion) {
    throw Error(ErrorCode::kUnsupportedFormat,
                fmt::format("cannot read {} of version {}", kReportWhat, version),
                fmt::format("This program reads versions up to {}.", kReportVersion),
                "Use the version of backup_ext that wrote it, or a newer one.");
  }
  return {.job_id = fields.Text("job_id"),
          .operation = fields.Text("operation"),
          .trigger = fields.Text("trigger"),
          .kind = fields.Text("kind"),
          .backup_id = fields.Text("backup_id"),
          .stage_id = fields.Text("stage_id"),
          .label = fields.Text("label"),
          .result = fields.Text("result"),
          .started_at = fields.Time("started_at"),
          .finished_at = fields.Time("finished_at"),
          .database_bytes = fields.U64("database_bytes"),
          .stored_bytes = fields.U64("stored_bytes"),
          .freed_bytes = fields.U64("freed_bytes"),
          .files = fields.U64("files"),
          .error = fields.Text("error"),
          .detail = fields.Text("detail"),
          .hint = fields.Text("hint"),
          .host = fields.Text("host"),
          .data_directory = fields.Text("data_directory")};
}

std::string DescribeRun(const RunReport& report, size_t limit_bytes) {
  RunReport cut = report;
  for (std::string* text : {&cut.hint, &cut.detail, &cut.label, &cut.data_directory, &cut.error}) {
    std::string line = DumpLine(cut);
    if (line.size() <= limit_bytes) return line;
    text->clear();
  }
  return DumpLine(cut);
}

}  // namespace backup_ext
