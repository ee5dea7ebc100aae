// What --help and the man page say beside the options.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace backup_ext {

inline constexpr std::string_view kProgramDescription =
    "Works on a repository of backup_ext without any server: for the day when the server is down "
    "or "
    "gone. Restores, verifies, exports and removes backups.";
inline constexpr std::string_view kRepositoryVariable = "BACKUP_EXT_REPOSITORY";

struct ManualRow {
  std::string term;
  std::string text;
};
[[nodiscard]] std::vector<ManualRow> ExitCodeRows();
[[nodiscard]] std::vector<ManualRow> EnvironmentRows();
[[nodiscard]] std::vector<ManualRow> ExampleRows();

// The end of --help.
[[nodiscard]] std::string HelpFooter();

}  // namespace backup_ext
