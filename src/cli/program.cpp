// What the commands of the program share: the global options, and how a command is added and run.
#include "program.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <filesystem>
#include <span>
#include <thread>
#include <utility>

#include "base/error.h"
#include "become_owner.h"
#include "interrupt.h"
#include "manual_text.h"
#include "output.h"

namespace backup_ext {
namespace {

// Beyond this the disk is what takes the time.
constexpr unsigned kMostThreads = 8;

// Known even when the command line cannot be understood.
bool AsksForJson(int argc, char** argv) {
  const std::span<char*> arguments(argv, static_cast<size_t>(argc));
  return std::any_of(arguments.begin(), arguments.end(),
                     [](const char* argument) { return std::strcmp(argument, "--json") == 0; });
}

int ReportError(const Error& error, bool json) {
  PrintError(error, json);
  return ExitCode(error.code());
}

// Later versions of CLI11 fill paragraphs; ours are tables.
template <typename Formatter>
void KeepFooterLines(Formatter& formatter) {
  if constexpr (requires { formatter.enable_footer_formatting(false); }) {
    formatter.enable_footer_formatting(false);
  }
}

}  // namespace

Program::Program() : app_(std::string(kProgramDescription), "backup_ext") {
  app_.set_version_flag("--version", "backup_ext " BACKUP_EXT_VERSION, "Show the version and exit");
  app_.set_help_flag("--help,-h", "Show this help and exit");
  app_.require_subcommand(1);
  app_.fallthrough();  // global options are taken after the command too
  app_.footer(HelpFooter());
  KeepFooterLines(*app_.get_formatter());
  app_.add_option("--repository", repository_, "Directory of the repository")
      ->type_name("DIRECTORY")
      ->envname(std::string(kRepositoryVariable));
  app_.add_flag("--json", json_, "Write one JSON document to standard output, errors too");
}

CLI::App* Program::AddCommand(const std::string& name, const std::string& description,
                              CommandBody body) {
  CLI::App* const command = app_.add_subcommand(name, description);
  command->set_help_flag("--help,-h", "Show this help and exit");
  command->footer("");
  command->callback([this, body = std::move(body)] { body_ = body; });
  return command;
}

int Program::Run(int argc, char** argv) {
  bool json = AsksForJson(argc, argv);
  try {
    app_.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app_.exit(error);
    return ReportError(Error(ErrorCode::kInvalidArgument, error.what(), {},
                             "Run \"backup_ext --help\", or \"backup_ext COMMAND --help\"."),
                       json);
  }
  json = json_;
  CatchInterrupts();
  try {
    const int exit_code = body_();
    FlushOutput();
    return exit_code;
  } catch (const Error& error) {
    return ReportError(error, json);
  } catch (const std::exception& error) {
    return ReportError(Error(ErrorCode::kInternal, error.what()), json);
  }
}

Repository Program::OpenRepository(RootRights rights) const {
  if (repository_.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "no repository was named", {},
                "Name it with --repository, or in the environment variable "
                "BACKUP_EXT_REPOSITORY.");
  }
  const std::string location =
      repository_.starts_with("s3://")
          ? repository_
          : std::filesystem::absolute(repository_).lexically_normal().string();
  BecomeOwnerOf(location, "repository", rights);
  return Repository::Open(location);
}

CLI::Option* AddBackupArgument(CLI::App* command, std::string* backup_id) {
  return command->add_option("backup", *backup_id, "Id of a backup, or latest")
      ->type_name("BACKUP")
      ->required();
}

CLI::Option* AddTablespaceMappingOption(CLI::App* command, std::vector<std::string>* mappings) {
  return command
      ->add_option("--tablespace-mapping", *mappings,
                   "Where a tablespace shall be; may be given several times")
      ->type_name("OLDDIR=NEWDIR")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

CLI::Option* AddJobsOption(CLI::App* command, int* jobs) {
  return command
      ->add_option("--jobs", *jobs,
                   "Threads; 0, the default, takes as many as there are processors, at most 8")
      ->type_name("N")
      ->check(CLI::Range(0, 256));
}

int ThreadsOf(int jobs) {
  if (jobs > 0) return jobs;
  return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, kMostThreads));
}

}  // namespace backup_ext
