// The program `backup_ext`: list and restore when there is no server to ask.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "activate_command.h"
#include "base/error.h"
#include "interrupt.h"
#include "list_command.h"
#include "restore_command.h"

namespace backup_ext {
namespace {

constexpr int kUsageExitCode = 2;

void PrintError(const Error& error) {
  std::fprintf(stderr, "backup_ext: error: %s\n", error.message().c_str());
  if (!error.detail().empty()) {
    std::fprintf(stderr, "backup_ext: detail: %s\n", error.detail().c_str());
  }
  if (!error.hint().empty()) std::fprintf(stderr, "backup_ext: hint: %s\n", error.hint().c_str());
}

int Main(int argc, char** argv) {
  CLI::App app{"Lists and restores the backups of a repository of backup_ext, without a server."};
  app.set_version_flag("--version", "backup_ext " BACKUP_EXT_VERSION);
  app.require_subcommand(1);
  std::string repository;
  app.add_option("--repository", repository, "Directory of the repository");
  const ActivationCommands activation(&app);

  ListOptions list;
  CLI::App* list_command = app.add_subcommand("list", "Show the backups, newest first");
  list_command->add_flag("--json", list.json, "Write JSON, for programs");

  RestoreOptions restore;
  CLI::App* restore_command =
      app.add_subcommand("restore", "Restore a backup into a directory that is empty or missing");
  restore_command->add_option("backup", restore.backup_id, "Id of a backup, or latest")->required();
  restore_command->add_option("directory", restore.directory, "Where to")->required();
  restore_command->add_option("--jobs", restore.threads, "Threads; 0 picks from the machine")
      ->check(CLI::Range(0, 256));
  restore_command->add_option("--port", restore.port, "Port of the copy's private socket")
      ->check(CLI::Range(1, 65535));
  restore_command->add_option("--bindir", restore.bin_directory,
                              "Directory of pg_ctl, for the command that is shown");
  try {
    app.parse(argc, argv);
    if (!activation.parsed() && repository.empty()) throw CLI::RequiredError("--repository");
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsageExitCode;
  }

  CatchInterrupts();
  try {
    if (activation.parsed()) activation.Run();
    if (list_command->parsed()) RunList(repository, list);
    if (restore_command->parsed()) RunRestore(repository, restore);
    return 0;
  } catch (const Error& error) {
    PrintError(error);
    return ExitCode(error.code());
  } catch (const std::exception& error) {
    PrintError(Error(ErrorCode::kInternal, error.what()));
    return ExitCode(ErrorCode::kInternal);
  }
}

}  // namespace
}  // namespace backup_ext

int main(int argc, char** argv) { return backup_ext::Main(argc, argv); }
