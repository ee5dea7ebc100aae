// `backup_ext restore`: the same staged copy that backup_stage_restore() makes.
#include "restore_command.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/progress.h"
#include "format/names.h"
#include "interrupt.h"
#include "output.h"
#include "progress_bar.h"
#include "restore/restore_run.h"
#include "restore/shell_quote.h"
#include "store/catalog.h"

namespace backup_ext {
namespace {

struct RestoreOptions {
  std::string backup_id;
  std::string directory;
  int jobs = 0;
  int port = 5432;
  std::string bin_directory;
  std::vector<std::string> mappings;
  bool no_media = false;
  std::string media_directory;
};

void PrintResult(const BackupRecord& record, const StageOptions& stage, const StageResult& result) {
  fmt::print("Restored backup {} into \"{}\": {} files, {}.\n", record.backup_id, stage.directory,
             result.files, SizeText(result.bytes));
  if (result.kept_bytes > 0) {
    fmt::print("Of it {} were there already and right.\n", SizeText(result.kept_bytes));
  }
  fmt::print("\n");
  fmt::print(
      "It is a copy that bothers nobody: no network, no archiving, no jobs. Start it with\n"
      "    {}\n"
      "and look into it with\n"
      "    psql -h {} -p {} -d postgres\n"
      "Make it the server, once it is stopped, with\n"
      "    backup_ext activate {} --pgdata DATA_DIRECTORY\n",
      result.start_command, ShellQuote(result.socket_directory), stage.port,
      ShellQuote(stage.directory));
  fmt::print(
      "\nThe settings that keep it apart are at the end of \"{0}/postgresql.auto.conf\"; the\n"
      "original of that file is \"{0}/backup_ext_stage/postgresql.auto.conf\".\n",
      stage.directory);
  if (result.media_directory.empty()) return;
  fmt::print("\nThe media, {} files, are in \"{}\":\n", result.media.files, result.media_directory);
  for (size_t i = 0; i < record.media.directories.size(); ++i) {
    fmt::print("    {} was {}\n", i + 1, Printable(record.media.directories[i].path));
  }
}

void TellOfMedia(const BackupRecord& record, const StageResult& result) {
  if (HasMedia(record) && result.media_directory.empty()) {
    PrintWarning(fmt::format("backup {} holds {} of media, which were not restored",
                             record.backup_id, SizeText(record.media_bytes)));
  }
  for (const std::string& place : result.removed_media) {
    PrintWarning(fmt::format("the media of the earlier stage, in \"{}\", were removed", place));
  }
  const std::string losses = DescribeLosses(result.media);
  if (!losses.empty()) PrintWarning(losses);
}

nlohmann::json ResultJson(const BackupRecord& record, const StageOptions& stage,
                          const StageResult& result) {
  return {{"backup_id", record.backup_id},
          {"stage_id", stage.stage_id},
          {"directory", stage.directory},
          {"files", result.files},
          {"bytes", result.bytes},
          {"kept_bytes", result.kept_bytes},
          {"start_command", result.start_command},
          {"socket_directory", result.socket_directory},
          {"port", stage.port},
          {"media_directory", TextOrNull(result.media_directory)},
          {"media_files", result.media.files},
          {"media_owners_lost", result.media.owners_lost},
          {"media_attributes_lost", result.media.attributes_lost},
          {"media_removed", result.removed_media}};
}

std::string AbsolutePath(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

StageOptions StageOf(const RestoreOptions& options, const Repository& repository,
                     const BackupRecord& record) {
  StageOptions stage;
  stage.stage_id = NewStageId(Now());
  stage.directory = AbsolutePath(options.directory);
  // Whoever names a place for them wants them, and is told when there are none.
  const bool wants_media = HasMedia(record) || !options.media_directory.empty();
  if (wants_media && !options.no_media) stage.media = MediaChoice::kInclude;
  if (!options.media_directory.empty())
    stage.media_directory = AbsolutePath(options.media_directory);
  stage.threads = ThreadsOf(options.jobs);
  stage.forbidden = {ResolvePath(repository.location())};
  stage.bin_directory = options.bin_directory;
  stage.port = options.port;
  for (const std::string& text : options.mappings) AddTablespaceMapping(text, &stage.mapping);
  return stage;
}

int Restore(const Program& program, const RestoreOptions& options) {
  // Media belong to other users.
  const Repository repository = program.OpenRepository(RootRights::kGiveFilesAway);
  const BackupRecord record = FindBackup(repository, options.backup_id);
  const StageOptions stage = StageOf(options, repository, record);
  Progress progress;
  StageResult result;
  {
    ProgressBar bar(program, &progress);
    result = RestoreToStage(repository, record, stage, &progress, [&bar] {
      ThrowIfInterrupted();
      bar.Draw();
    });
  }
  if (program.json()) {
    PrintJson(ResultJson(record, stage, result));
  } else {
    PrintResult(record, stage, result);
    TellOfMedia(record, result);
  }
  return 0;
}

}  // namespace

void AddRestoreCommand(Program* program) {
  const auto options = std::make_shared<RestoreOptions>();
  CLI::App* const command = program->AddCommand(
      "restore", "Restore a backup into a directory that is empty, missing or an earlier restore",
      [program, options] { return Restore(*program, *options); });
  AddBackupArgument(command, &options->backup_id);
  command->add_option("directory", options->directory, "Where to")
      ->type_name("DIRECTORY")
      ->required();
  AddJobsOption(command, &options->jobs);
  command->add_option("--port", options->port, "Port of the copy's private socket; default 5432")
      ->type_name("N")
      ->check(CLI::Range(1, 65535));
  command
      ->add_option("--bindir", options->bin_directory,
                   "Directory of pg_ctl, for the command that is shown")
      ->type_name("DIRECTORY");
  AddTablespaceMappingOption(command, &options->mappings);
  CLI::Option* const no_media = command->add_flag("--no-media", options->no_media,
                                                  "Leave out the media that the backup holds");
  command
      ->add_option("--media-directory", options->media_directory,
                   "Where the backup's media directories become 1, 2, ...; default DIRECTORY.media")
      ->type_name("DIRECTORY")
      ->excludes(no_media);
}

}  // namespace backup_ext
