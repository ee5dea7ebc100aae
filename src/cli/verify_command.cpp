// `backup_ext verify`: reads a backup back, as backup_verify() does.
#include "verify_command.h"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "base/progress.h"
#include "interrupt.h"
#include "output.h"
#include "progress_bar.h"
#include "store/catalog.h"
#include "verify/remember.h"
#include "verify/verify_run.h"

namespace backup_ext {
namespace {

struct VerifyOptions {
  std::string backup_id;
  int jobs = 0;
};

// A record that cannot be read is a finding of the verify; only "latest" needs one that can.
std::string ResolveId(const Repository& repository, const std::string& backup_id) {
  return backup_id == "latest" ? FindBackup(repository, backup_id).backup_id : backup_id;
}

VerifyResult RunVerify(const Program& program, const Repository& repository,
                       const std::string& backup_id, int threads) {
  Progress progress;
  ProgressBar bar(program, &progress);
  return VerifyBackup(repository, backup_id, threads, &progress, [&bar] {
    ThrowIfInterrupted();
    bar.Draw();
  });
}

nlohmann::json ResultJson(const std::string& backup_id, const VerifyResult& result,
                          const std::string& forgotten) {
  nlohmann::json problems = nlohmann::json::array();
  for (const VerifyProblem& problem : result.problems) {
    problems.push_back(
        {{"path", problem.path},
         {"problem", problem.problem},
         {"offset_bytes",
          problem.offset_bytes ? nlohmann::json(*problem.offset_bytes) : nlohmann::json(nullptr)}});
  }
  return {{"backup_id", backup_id},
          {"verify_result", result.damaged_files == 0 ? "ok" : "damaged"},
          {"checked_bytes", result.checked_bytes},
          {"damaged_files", result.damaged_files},
          {"problems", problems},
          {"remembered", forgotten.empty()},
          {"warning", TextOrNull(forgotten)}};
}

void PrintResult(const std::string& backup_id, const VerifyResult& result,
                 const std::string& forgotten) {
  if (!forgotten.empty()) PrintWarning(forgotten);
  if (result.damaged_files == 0) {
    fmt::print("Backup {} is sound: {} read back.\n", backup_id, SizeText(result.checked_bytes));
    return;
  }
  for (const VerifyProblem& problem : result.problems) {
    const std::string place =
        problem.offset_bytes ? fmt::format(" (offset {})", *problem.offset_bytes) : std::string();
    fmt::print("{}: {}{}\n", Printable(problem.path), Printable(problem.problem), place);
  }
  PrintError(Error(ErrorCode::kDamaged,
                   fmt::format("backup {} is damaged: {} {}", backup_id, result.damaged_files,
                               result.damaged_files == 1 ? "file" : "files"),
                   {}, "Take a new backup, and look at the repository's storage."),
             false);
}

int Verify(const Program& program, const VerifyOptions& options) {
  const Repository repository = program.OpenRepository();
  const std::string backup_id = ResolveId(repository, options.backup_id);
  const VerifyResult result = RunVerify(program, repository, backup_id, ThreadsOf(options.jobs));
  const std::string forgotten = RememberVerify(repository, backup_id, result);
  if (program.json()) {
    PrintJson(ResultJson(backup_id, result, forgotten));
  } else {
    PrintResult(backup_id, result, forgotten);
  }
  return result.damaged_files == 0 ? 0 : ExitCode(ErrorCode::kDamaged);
}

}  // namespace

void AddVerifyCommand(Program* program) {
  const auto options = std::make_shared<VerifyOptions>();
  CLI::App* const command = program->AddCommand(
      "verify", "Read everything of a backup back; the list shows the result from then on",
      [program, options] { return Verify(*program, *options); });
  AddBackupArgument(command, &options->backup_id);
  AddJobsOption(command, &options->jobs);
}

}  // namespace backup_ext
