// `backup_ext export`: a backup as a base backup that any PostgreSQL tool reads.
#include "export_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/progress.h"
#include "interrupt.h"
#include "output.h"
#include "progress_bar.h"
#include "restore/export_run.h"
#include "store/catalog.h"

namespace backup_ext {
namespace {

constexpr const char* kStandardOutput = "-";

struct Options {
  std::string backup_id;
  std::string directory;
  std::string format = "plain";
  std::vector<std::string> mappings;
  int jobs = 0;
};

[[nodiscard]] Error Misuse(const char* message, const char* hint) {
  return Error(ErrorCode::kInvalidArgument, message, {}, hint);
}

void CheckStreamOptions(const Program& program, const Options& options) {
  if (ParseExportFormat(options.format) != ExportFormat::kTar) {
    throw Misuse("only the tar format can be written to standard output", "Add --format tar.");
  }
  if (program.json()) {
    throw Misuse("--json cannot be used with an export to standard output",
                 "Standard output is the tar. The exit code says whether it is whole.");
  }
  if (!options.mappings.empty()) {
    throw Misuse("--tablespace-mapping cannot be used with an export to standard output",
                 "A backup with tablespaces is exported into a directory.");
  }
  if (isatty(STDOUT_FILENO) == 1) {
    throw Misuse("a tar is not written to a terminal", "Send it to a file or another program.");
  }
}

ExportOptions ExportOptionsOf(const Options& options, const Repository& repository) {
  ExportOptions result;
  result.directory = std::filesystem::absolute(options.directory).lexically_normal().string();
  result.format = ParseExportFormat(options.format);
  result.threads = ThreadsOf(options.jobs);
  result.forbidden = {ResolvePath(repository.location())};
  for (const std::string& text : options.mappings) AddTablespaceMapping(text, &result.mapping);
  return result;
}

nlohmann::json ResultJson(const BackupRecord& record, const ExportOptions& options,
                          const std::string& format, const ExportResult& result) {
  nlohmann::json tablespaces = nlohmann::json::array();
  for (const ExportedTablespace& tablespace : result.tablespaces) {
    tablespaces.push_back({{"oid", tablespace.oid},
                           {"origin", TextOrNull(tablespace.origin)},
                           {"directory", tablespace.directory}});
  }
  return {{"backup_id", record.backup_id},
          {"directory", options.directory},
          {"format", format},
          {"files", result.files},
          {"bytes", result.bytes},
          {"from_standby", record.from_standby},
          {"media_left_out_bytes", record.media_bytes},
          {"tablespaces", tablespaces}};
}

void PrintResult(const BackupRecord& record, const ExportOptions& options,
                 const ExportResult& result) {
  fmt::print("Exported backup {} into \"{}\": {} files, {}.\n", record.backup_id, options.directory,
             result.files, SizeText(result.bytes));
  for (const ExportedTablespace& tablespace : result.tablespaces) {
    fmt::print("  tablespace {} (\"{}\"): {} \"{}\"\n", tablespace.oid,
               Printable(tablespace.origin),
               options.format == ExportFormat::kTar ? "unpack its tar into" : "in",
               Printable(tablespace.directory));
  }
  fmt::print(
      "A server that is started from it has the settings of its origin: nothing keeps it from\n"
      "archiving, from the network or from the jobs of its origin. To look into a backup, use\n"
      "\"backup_ext restore\".\n");
  if (record.from_standby) {
    fmt::print(
        "The backup is that of a standby, and starts as one: \"pg_ctl promote\" ends that.\n");
  }
  if (HasMedia(record)) {
    PrintWarning(fmt::format("backup {} holds {} of media, which an export leaves out",
                             record.backup_id, SizeText(record.media_bytes)));
  }
}

int ExportIntoDirectory(const Program& program, const Options& options) {
  const Repository repository = program.OpenRepository();
  const ExportOptions export_options = ExportOptionsOf(options, repository);
  const BackupRecord record = FindBackup(repository, options.backup_id);
  Progress progress;
  ExportResult result;
  {
    ProgressBar bar(program, &progress);
    result = ExportBackup(repository, record, export_options, &progress, [&bar] {
      ThrowIfInterrupted();
      bar.Draw();
    });
  }
  if (program.json()) {
    PrintJson(ResultJson(record, export_options, options.format, result));
  } else {
    PrintResult(record, export_options, result);
  }
  return 0;
}

int ExportToStandardOutput(const Program& program, const Options& options) {
  CheckStreamOptions(program, options);
  const Repository repository = program.OpenRepository();
  const BackupRecord record = FindBackup(repository, options.backup_id);
  Progress progress;
  ProgressBar bar(program, &progress);
  const auto write = [](ByteSpan bytes) { WriteAll(STDOUT_FILENO, bytes, "standard output"); };
  (void)ExportToStream(repository, record, write, &progress, [&bar] {
    ThrowIfInterrupted();
    bar.Draw();
  });
  return 0;
}

}  // namespace

void AddExportCommand(Program* program) {
  const auto options = std::make_shared<Options>();
  CLI::App* const command = program->AddCommand(
      "export", "Write a backup as a base backup that any PostgreSQL tool reads",
      [program, options] {
        return options->directory == kStandardOutput ? ExportToStandardOutput(*program, *options)
                                                     : ExportIntoDirectory(*program, *options);
      });
  AddBackupArgument(command, &options->backup_id);
  command
      ->add_option("directory", options->directory,
                   "Where to: a directory that is empty or missing; with --format tar also -, "
                   "standard output")
      ->type_name("DIRECTORY")
      ->required();
  command
      ->add_option("--format", options->format,
                   "plain, a data directory (default), or tar: base.tar, a tar for each "
                   "tablespace, pg_wal.tar")
      ->type_name("plain|tar");
  AddTablespaceMappingOption(command, &options->mappings);
  AddJobsOption(command, &options->jobs);
}

}  // namespace backup_ext
