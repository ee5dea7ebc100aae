// `backup_ext restore`: the same staged copy that backup_stage_restore() makes.
#include "restore_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "base/progress.h"
#include "format/names.h"
#include "interrupt.h"
#include "progress_bar.h"
#include "restore/restore_run.h"
#include "restore/shell_quote.h"
#include "size_text.h"
#include "store/catalog.h"
#include "store/repository.h"

namespace backup_ext {
namespace {

// Beyond this the disk is what takes the time.
constexpr unsigned kMostThreads = 8;

void PrintResult(const BackupRecord& record, const RestoreOptions& options,
                 const std::string& directory, const StageResult& result) {
  fmt::print("Restored backup {} into \"{}\": {} files, {}.\n\n", record.backup_id, directory,
             result.files, SizeText(result.bytes));
  fmt::print(
      "It is a copy that bothers nobody: no network, no archiving, no jobs. Start it with\n"
      "    {}\n"
      "and look into it with\n"
      "    psql -h {} -p {} -d postgres\n",
      result.start_command, ShellQuote(result.socket_directory), options.port);
  fmt::print(
      "\nThe settings that keep it apart are at the end of \"{0}/postgresql.auto.conf\"; the\n"
      "original of that file is \"{0}/backup_ext_stage/postgresql.auto.conf\".\n",
      directory);
}

}  // namespace

void RunRestore(const std::string& location, const RestoreOptions& options) {
  const Repository repository = Repository::Open(location);
  const BackupRecord record = FindBackup(repository, options.backup_id);
  const std::string directory =
      std::filesystem::absolute(options.directory).lexically_normal().string();

  StageOptions stage;
  stage.stage_id = NewStageId(Now());
  stage.directory = directory;
  stage.threads =
      options.threads > 0
          ? options.threads
          : static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, kMostThreads));
  stage.forbidden = {ResolvePath(repository.location())};
  stage.bin_directory = options.bin_directory;
  stage.port = options.port;

  Progress progress;
  StageResult result;
  {
    ProgressBar bar(&progress);
    result = RestoreToStage(repository, record, stage, &progress, [&bar] {
      ThrowIfInterrupted();
      bar.Draw();
    });
  }
  PrintResult(record, options, directory, result);
}

}  // namespace backup_ext
