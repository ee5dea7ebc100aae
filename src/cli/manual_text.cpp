// What --help and the man page say beside the options.
#include "manual_text.h"

#include <fmt/format.h>

namespace backup_ext {

std::vector<ManualRow> ExitCodeRows() {
  return {{"0", "done"},
          {"1", "failed, or cancelled"},
          {"2", "wrong usage, or an argument that cannot be"},
          {"3", "damage found in the repository"},
          {"10", "no repository there"},
          {"11", "locked: somebody else is writing"}};
}

std::vector<ManualRow> EnvironmentRows() {
  return {{std::string(kRepositoryVariable), "the repository, where --repository is not given"},
          {"PGDATA", "the data directory, where --pgdata is not given"}};
}

std::vector<ManualRow> ExampleRows() {
  return {
      {"backup_ext --repository /backups list", "what there is"},
      {"backup_ext --repository /backups restore latest /srv/copy",
       "a checked copy, and the command that starts it"},
      {"backup_ext --repository /backups verify latest", "reads everything of it back"},
      {"backup_ext --repository /backups export latest - --format tar | ssh other tar -xC /srv/new",
       "a base backup on another machine"},
      {"backup_ext --repository /backups expire --retention \"3 days\" --dry-run",
       "what would be removed"}};
}

std::string HelpFooter() {
  std::string text = "Exit codes:\n";
  for (const ManualRow& row : ExitCodeRows())
    text += fmt::format("  {:<4}{}\n", row.term, row.text);
  text += "\nEnvironment:\n";
  for (const ManualRow& row : EnvironmentRows())
    text += fmt::format("  {}  {}\n", row.term, row.text);
  return text + "\n\"backup_ext COMMAND --help\" tells about one command.";
}

}  // namespace backup_ext
