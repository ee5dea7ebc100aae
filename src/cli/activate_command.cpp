// `backup_ext activate` and `backup_ext undo`: a stage becomes the server, and the way back.
#include "activate_command.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "format/names.h"
#include "restore/activation.h"
#include "restore/shell_quote.h"
#include "restore/stage.h"

namespace backup_ext {
namespace {

std::string Absolute(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

void PrintNotices(const ActivationReport& report) {
  for (const std::string& notice : report.notices) fmt::print("Note: {}\n", notice);
}

void PrintActivated(const ActivationReport& report) {
  fmt::print("Stage {} is the data directory \"{}\" now. Start the server as always.\n",
             report.stage_id, report.data_directory);
  PrintNotices(report);
  if (report.other_directory.empty()) return;
  fmt::print(
      "What it replaced is kept in \"{}\".\n"
      "To go back: stop the server, then\n"
      "    backup_ext undo --pgdata {}\n",
      report.other_directory, ShellQuote(report.data_directory));
}

}  // namespace

ActivationCommands::ActivationCommands(CLI::App* app)
    : activate_(app->add_subcommand("activate", "Put a stage in the place of a data directory")),
      undo_(app->add_subcommand("undo", "Put back what the last activation replaced")) {
  activate_->add_option("stage", stage_, "Directory of the stage, or its id");
  activate_
      ->add_option("--pgdata", data_directory_,
                   "Data directory of the server, which must be stopped")
      ->required()
      ->envname("PGDATA");
  activate_->add_option("--staging-directory", staging_directory_,
                        "Where the stage of that id is listed; as backup_ext.staging_directory");
  activate_->add_flag("--dry-run", dry_run_, "Only say what would be done");
  CLI::Option* next = activate_->add_flag("--at-next-start", at_next_start_,
                                          "Only mark the stage, for --if-marked");
  CLI::Option* marked =
      activate_->add_flag("--if-marked", if_marked_,
                          "Activate the stage that is marked, if any; before a server starts");
  CLI::Option* unmark = activate_->add_flag("--unmark", unmark_, "Take the mark away");
  next->excludes(marked)->excludes(unmark);
  marked->excludes(unmark);
  activate_->add_flag("--replace-other-cluster", replace_other_cluster_,
                      "Even where the data directory is of another cluster");
  undo_
      ->add_option("--pgdata", data_directory_,
                   "Data directory of the server, which must be stopped")
      ->required()
      ->envname("PGDATA");
  undo_->add_flag("--dry-run", dry_run_, "Only say what would be done");
}

void ActivationCommands::Run() const {
  if (undo_->parsed()) return RunUndo();
  if (stage_.empty() != (if_marked_ || unmark_)) {
    throw Error(ErrorCode::kInvalidArgument,
                stage_.empty() ? "no stage was named"
                               : "a stage cannot be named with --if-marked or --unmark",
                "", "See backup_ext activate --help.");
  }
  if (if_marked_) return RunMarked();
  if (at_next_start_) return Mark();
  if (unmark_) {
    const bool was_marked = RemoveNextStageMark(CleanActivationPath(Absolute(data_directory_)));
    fmt::print("{}\n", was_marked ? "No stage is marked any more." : "No stage was marked.");
    return;
  }
  RunActivate();
}

std::string ActivationCommands::StagePath() const {
  if (!IsStageId(stage_) || StatLink(stage_)) return Absolute(stage_);
  const std::string staging = staging_directory_.empty()
                                  ? CleanActivationPath(Absolute(data_directory_)) + ".staged"
                                  : Absolute(staging_directory_);
  return FindStage(staging, stage_).directory;
}

void ActivationCommands::RunActivate() const {
  const ActivationRequest request = {
      .stage_directory = StagePath(),
      .data_directory = Absolute(data_directory_),
      .other_cluster = replace_other_cluster_ ? OtherCluster::kReplace : OtherCluster::kRefuse,
      .step_done = {}};
  if (!dry_run_) return PrintActivated(Activate(request));
  const ActivationReport report = CheckActivation(request);
  fmt::print("Stage {} can become the data directory \"{}\". Nothing was changed.\n",
             report.stage_id, report.data_directory);
  PrintNotices(report);
  if (!report.other_directory.empty()) {
    fmt::print("What it replaces would be kept in \"{}\".\n", report.other_directory);
  }
}

// The server may run: what must be true is looked at when it starts the next time.
void ActivationCommands::Mark() const {
  const std::string data = CleanActivationPath(Absolute(data_directory_));
  const std::string stage = CleanActivationPath(StagePath());
  if (!dry_run_) MarkForNextStart(stage, data);
  fmt::print(
      "Stage \"{}\" {} marked: \"backup_ext activate --if-marked\" makes it the data\n"
      "directory \"{}\" before the server starts the next time.\n",
      stage, dry_run_ ? "would be" : "is", data);
}

void ActivationCommands::RunMarked() const {
  const std::string data = CleanActivationPath(Absolute(data_directory_));
  if (const auto notice = FinishInterrupted(data)) fmt::print("Note: {}\n", *notice);
  const auto stage = ReadNextStageMark(data);
  if (!stage) return;
  const ActivationRequest request = {
      .stage_directory = *stage,
      .data_directory = data,
      .other_cluster = replace_other_cluster_ ? OtherCluster::kReplace : OtherCluster::kRefuse,
      .step_done = {}};
  if (dry_run_) {
    const ActivationReport report = CheckActivation(request);
    fmt::print("Stage {} is marked and can be activated. Nothing was changed.\n", report.stage_id);
    return PrintNotices(report);
  }
  // Good for one try: a mark that nobody remembers must not take effect at some later start.
  try {
    const ActivationReport report = Activate(request);
    RemoveNextStageMark(data);
    PrintActivated(report);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kLocked) RemoveNextStageMark(data);
    throw;
  }
}

void ActivationCommands::RunUndo() const {
  const std::string data = Absolute(data_directory_);
  if (dry_run_) {
    const ActivationReport report = CheckUndoActivation(data);
    fmt::print("The activation of stage {} can be undone. Nothing was changed.\n", report.stage_id);
    return PrintNotices(report);
  }
  const ActivationReport report = UndoActivation(data);
  fmt::print(
      "\"{}\" is what it was before stage {} was activated. Start the server as always.\n"
      "The stage, with all that was written since, is in \"{}\".\n",
      report.data_directory, report.stage_id, report.other_directory);
  PrintNotices(report);
}

}  // namespace backup_ext
