// The command line as plain values, for what is generated from it: man page and completion.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace backup_ext {

struct OptionDescription {
  std::vector<std::string> names;  // "--help", "-h"; of an argument its name: "directory"
  std::string value;               // "DIRECTORY", "plain|tar"; empty for a flag
  std::string text;
  bool is_required = false;
};
struct CommandDescription {
  std::string name;
  std::string text;
  std::vector<OptionDescription> arguments;  // by place
  std::vector<OptionDescription> options;
};

// Of the program or of one of its commands.
[[nodiscard]] CommandDescription Describe(const CLI::App& app);
// Its commands, in the order in which they were added, without the hidden ones.
[[nodiscard]] std::vector<CommandDescription> DescribeCommands(const CLI::App& app);

}  // namespace backup_ext
