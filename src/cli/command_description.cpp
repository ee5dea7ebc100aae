// The command line as plain values, for what is generated from it: man page and completion.
#include "command_description.h"

namespace backup_ext {

CommandDescription Describe(const CLI::App& app) {
  CommandDescription description;
  description.name = app.get_name();
  description.text = app.get_description();
  for (const CLI::Option* option : app.get_options()) {
    OptionDescription described;
    described.text = option->get_description();
    described.is_required = option->get_required();
    if (option->get_items_expected_max() > 0) {
      // What is accepted follows after a colon.
      described.value = option->get_type_name();
      described.value = described.value.substr(0, described.value.find(':'));
    }
    if (option->get_positional()) {
      described.names = {option->get_name(true, false)};
      description.arguments.push_back(described);
      continue;
    }
    for (const std::string& name : option->get_lnames()) described.names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) described.names.push_back("-" + name);
    description.options.push_back(described);
  }
  return description;
}

std::vector<CommandDescription> DescribeCommands(const CLI::App& app) {
  std::vector<CommandDescription> commands;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) commands.push_back(Describe(*command));
  }
  return commands;
}

}  // namespace backup_ext
