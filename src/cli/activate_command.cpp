// `backup_ext activate` and `backup_ext undo`: a stage becomes the server, and the way back.
#include "activate_command.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "become_owner.h"
#include "format/names.h"
#include "output.h"
#include "restore/activation.h"
#include "restore/shell_quote.h"
#include "restore/stage.h"

namespace backup_ext {
namespace {

struct ActivateOptions {
  std::string stage;
  std::string data_directory;
  std::string staging_directory;
  bool dry_run = false;
  bool if_marked = false;
  bool at_next_start = false;
  bool unmark = false;
  bool replace_other_cluster = false;
};

struct UndoOptions {
  std::string data_directory;
  bool dry_run = false;
};

std::string DataDirectory(const std::string& path) {
  return CleanActivationPath(std::filesystem::absolute(path).lexically_normal().string());
}

// Where there is no data directory yet, the stage will be it.
void BecomeOwner(const std::string& data, const std::string& stage) {
  if (StatFile(data)) return BecomeOwnerOf(data, "data directory");
  if (!stage.empty()) BecomeOwnerOf(stage, "stage");
}

std::string StagePath(const ActivateOptions& options) {
  if (!IsStageId(options.stage) || StatLink(options.stage)) return DataDirectory(options.stage);
  const std::string staging =
      options.staging_directory.empty()
          ? DataDirectory(options.data_directory) + ".staged"
          : std::filesystem::absolute(options.staging_directory).lexically_normal().string();
  return FindStage(staging, options.stage).directory;
}

ActivationRequest RequestOf(const ActivateOptions& options, const std::string& stage) {
  return {stage,
          DataDirectory(options.data_directory),
          options.replace_other_cluster ? OtherCluster::kReplace : OtherCluster::kRefuse,
          {}};
}

void PrintNotices(const ActivationReport& report) {
  for (const std::string& notice : report.notices) fmt::print("Note: {}\n", Printable(notice));
}

void PrintReport(const Program& program, const char* action, bool dry_run,
                 const ActivationReport& report, const std::string& text) {
  if (program.json()) {
    return PrintJson({{"action", action},
                      {"dry_run", dry_run},
                      {"stage_id", TextOrNull(report.stage_id)},
                      {"data_directory", report.data_directory},
                      {"other_directory", TextOrNull(report.other_directory)},
                      {"notices", report.notices}});
  }
  fmt::print("{}", text);
  PrintNotices(report);
}

std::string ActivatedText(const ActivationReport& report) {
  std::string text =
      fmt::format("Stage {} is the data directory \"{}\" now. Start the server as always.\n",
                  report.stage_id, Printable(report.data_directory));
  if (report.other_directory.empty()) return text;
  return text + fmt::format(
                    "What it replaced is kept in \"{}\".\n"
                    "To go back: stop the server, then\n"
                    "    backup_ext undo --pgdata {}\n",
                    Printable(report.other_directory), ShellQuote(report.data_directory));
}

int RunDry(const Program& program, const ActivationRequest& request) {
  const ActivationReport report = CheckActivation(request);
  PrintReport(program, "activate", true, report,
              fmt::format("Stage {} can become the data directory \"{}\". Nothing was changed.\n",
                          report.stage_id, Printable(report.data_directory)));
  return 0;
}

// The server may run; all else must be true already, and is looked at again before it starts.
int RunMark(const Program& program, const ActivateOptions& options) {
  const ActivationRequest request = RequestOf(options, StagePath(options));
  const ActivationReport report =
      options.dry_run ? CheckForNextStart(request) : MarkForNextStart(request);
  if (program.json()) {
    PrintJson({{"action", "mark"},
               {"dry_run", options.dry_run},
               {"stage_id", report.stage_id},
               {"data_directory", report.data_directory},
               {"stage_directory", request.stage_directory},
               {"notices", report.notices}});
    return 0;
  }
  fmt::print(
      "Stage \"{}\" {} marked: \"backup_ext activate --if-marked\" makes it the data\n"
      "directory \"{}\" before the server starts the next time.\n",
      Printable(request.stage_directory), options.dry_run ? "would be" : "is",
      Printable(report.data_directory));
  PrintNotices(report);
  return 0;
}

int RunUnmark(const Program& program, const ActivateOptions& options) {
  const std::string data = DataDirectory(options.data_directory);
  const bool was_marked =
      options.dry_run ? ReadNextStageMark(data).has_value() : RemoveNextStageMark(data);
  if (program.json()) {
    PrintJson({{"action", "unmark"},
               {"dry_run", options.dry_run},
               {"data_directory", data},
               {"was_marked", was_marked}});
  } else {
    fmt::print("{}\n", was_marked ? "The mark is taken away." : "No stage was marked.");
  }
  return 0;
}

// Silent when there is nothing to do: it stands before every start of a server. A mark is good for
// one try, or one that nobody remembers would take effect at some later start.
int RunMarked(const Program& program, const ActivateOptions& options) {
  const std::string data = DataDirectory(options.data_directory);
  std::vector<std::string> notices;
  if (!options.dry_run) {
    if (auto notice = FinishInterrupted(data)) notices.push_back(std::move(*notice));
  } else if (!ReadNextStageMark(data)) {
    // With a mark, the check of its activation tells of it.
    if (auto notice = CheckInterrupted(data)) notices.push_back(std::move(*notice));
  }
  if (!program.json()) {
    for (const std::string& notice : notices) PrintWarning(notice);
    notices.clear();
  }
  const auto mark = ReadNextStageMark(data);
  if (!mark) {
    if (program.json()) {
      PrintReport(program, "none", options.dry_run, {{}, data, {}, std::move(notices)}, {});
    }
    return 0;
  }
  ActivationRequest request = RequestOf(options, mark->stage_directory);
  if (mark->replace_other_cluster) request.other_cluster = OtherCluster::kReplace;
  if (options.dry_run) return RunDry(program, request);
  try {
    ActivationReport report = Activate(request);
    RemoveNextStageMark(data);
    report.notices.insert(report.notices.begin(), notices.begin(), notices.end());
    PrintReport(program, "activate", false, report, ActivatedText(report));
  } catch (const Error& error) {
    // The document of an error has no room for them.
    for (const std::string& notice : notices) PrintWarning(notice);
    if (error.code() != ErrorCode::kLocked) RemoveNextStageMark(data);
    throw;
  }
  return 0;
}

int RunActivate(const Program& program, const ActivateOptions& options) {
  if (options.stage.empty() != (options.if_marked || options.unmark)) {
    throw Error(ErrorCode::kInvalidArgument,
                options.stage.empty() ? "no stage was named"
                                      : "a stage cannot be named with --if-marked or --unmark",
                "", "Run \"backup_ext activate --help\".");
  }
  BecomeOwner(DataDirectory(options.data_directory), options.stage);
  if (options.if_marked) return RunMarked(program, options);
  if (options.unmark) return RunUnmark(program, options);
  if (options.at_next_start) return RunMark(program, options);
  const ActivationRequest request = RequestOf(options, StagePath(options));
  if (options.dry_run) return RunDry(program, request);
  const ActivationReport report = Activate(request);
  PrintReport(program, "activate", false, report, ActivatedText(report));
  return 0;
}

int RunUndo(const Program& program, const UndoOptions& options) {
  const std::string data = DataDirectory(options.data_directory);
  BecomeOwner(data, {});
  const ActivationReport report =
      options.dry_run ? CheckUndoActivation(data) : UndoActivation(data);
  PrintReport(
      program, "undo", options.dry_run, report,
      options.dry_run
          ? fmt::format("The activation of stage {} can be undone. Nothing was changed.\n",
                        report.stage_id)
          : fmt::format("\"{}\" is what it was before stage {} was activated. Start the server as "
                        "always.\nThe stage, with all that was written since, is in \"{}\".\n",
                        Printable(report.data_directory), report.stage_id,
                        Printable(report.other_directory)));
  return 0;
}

void AddDataDirectoryOption(CLI::App* command, std::string* data_directory) {
  command
      ->add_option("--pgdata", *data_directory,
                   "Data directory of the server, which must be stopped")
      ->type_name("DIRECTORY")
      ->envname("PGDATA")
      ->required();
}

}  // namespace

void AddActivateCommand(Program* program) {
  const auto options = std::make_shared<ActivateOptions>();
  CLI::App* const command = program->AddCommand(
      "activate", "Put a stage in the place of a data directory, which is kept for undo",
      [program, options] { return RunActivate(*program, *options); });
  command->add_option("stage", options->stage, "Directory of the stage, or its id")
      ->type_name("STAGE");
  AddDataDirectoryOption(command, &options->data_directory);
  command
      ->add_option("--staging-directory", options->staging_directory,
                   "Where a stage named by its id is listed; default DIRECTORY.staged")
      ->type_name("DIRECTORY");
  command->add_flag("--dry-run", options->dry_run, "Only say what would be done");
  CLI::Option* const next = command->add_flag("--at-next-start", options->at_next_start,
                                              "Only mark the stage, for --if-marked");
  CLI::Option* const marked =
      command->add_flag("--if-marked", options->if_marked,
                        "Activate the stage that is marked, if any: before a server starts");
  CLI::Option* const unmark = command->add_flag("--unmark", options->unmark, "Take the mark away");
  next->excludes(marked)->excludes(unmark);
  marked->excludes(unmark);
  command->add_flag("--replace-other-cluster", options->replace_other_cluster,
                    "Even where the data directory is of another cluster");
}

void AddUndoCommand(Program* program) {
  const auto options = std::make_shared<UndoOptions>();
  CLI::App* const command =
      program->AddCommand("undo", "Put back the data directory that the last activation replaced",
                          [program, options] { return RunUndo(*program, *options); });
  AddDataDirectoryOption(command, &options->data_directory);
  command->add_flag("--dry-run", options->dry_run, "Only say what would be done");
}

}  // namespace backup_ext
