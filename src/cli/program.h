// What the commands of the program share: the global options, and how a command is added and run.
//
// The descriptions given here are the one source of --help, the man page and shell completion.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "become_owner.h"
#include "store/repository.h"

namespace backup_ext {

// What a command does; returns the exit code, or throws Error.
using CommandBody = std::function<int()>;

class Program {
 public:
  Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // The body is run after all options are known.
  CLI::App* AddCommand(const std::string& name, const std::string& description, CommandBody body);
  // The exit code.
  [[nodiscard]] int Run(int argc, char** argv);

  // From here on, only inside a body.
  [[nodiscard]] bool json() const { return json_; }
  // The repository that --repository names. As root, the process first becomes its owner. Throws
  // Error.
  [[nodiscard]] Repository OpenRepository(RootRights rights = RootRights::kNone) const;
  [[nodiscard]] const CLI::App& app() const { return app_; }

 private:
  CLI::App app_;
  std::string repository_;
  bool json_ = false;
  CommandBody body_;
};

// One argument that most commands have: the id of a backup, or "latest".
CLI::Option* AddBackupArgument(CLI::App* command, std::string* backup_id);
// --tablespace-mapping, each for AddTablespaceMapping().
CLI::Option* AddTablespaceMappingOption(CLI::App* command, std::vector<std::string>* mappings);
// --jobs; ThreadsOf() of it.
CLI::Option* AddJobsOption(CLI::App* command, int* jobs);
[[nodiscard]] int ThreadsOf(int jobs);

}  // namespace backup_ext
