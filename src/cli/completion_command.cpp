// `backup_ext completion`: what a shell needs to complete the command line.
#include "completion_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "command_description.h"
#include "restore/shell_quote.h"

namespace backup_ext {
namespace {

// The words that a value can be; none when it is free.
std::vector<std::string> WordsOf(const std::string& value) {
  if (value == "BACKUP") return {"latest"};
  std::vector<std::string> words;
  if (value.find('|') == std::string::npos) return words;
  for (size_t begin = 0; begin <= value.size();) {
    const size_t end = std::min(value.find('|', begin), value.size());
    words.push_back(value.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

void AddOnce(const std::string& word, std::vector<std::string>* words) {
  if (std::find(words->begin(), words->end(), word) == words->end()) words->push_back(word);
}

struct CommandLine {
  CommandDescription program;
  std::vector<CommandDescription> commands;
};

// Of a command: its own options, then those of the program that it does not have itself.
std::vector<OptionDescription> AllOptions(const CommandDescription& command,
                                          const CommandLine& line) {
  std::vector<OptionDescription> all = command.options;
  for (const OptionDescription& option : line.program.options) {
    const bool is_known = std::any_of(all.begin(), all.end(), [&](const OptionDescription& known) {
      return known.names == option.names;
    });
    if (!is_known) all.push_back(option);
  }
  return all;
}

std::string NamesOf(const std::vector<OptionDescription>& options) {
  std::vector<std::string> names;
  for (const OptionDescription& option : options) {
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return Joined(names);
}

// Every option that takes a value, once.
std::vector<OptionDescription> OptionsWithValue(const CommandLine& line) {
  std::vector<OptionDescription> found;
  std::vector<std::string> names;
  const auto add = [&](const CommandDescription& command) {
    for (const OptionDescription& option : command.options) {
      const size_t known = names.size();
      if (!option.value.empty()) AddOnce(option.names.front(), &names);
      if (names.size() > known) found.push_back(option);
    }
  };
  add(line.program);
  for (const CommandDescription& command : line.commands) add(command);
  return found;
}

// bash: what is offered for a value, as the argument of a `case` branch.
std::string BashValue(const std::string& value) {
  if (const auto words = WordsOf(value); !words.empty()) {
    return fmt::format("COMPREPLY=($(compgen -W {} -- \"$word\"))", InSingleQuotes(Joined(words)));
  }
  return value == "DIRECTORY" ? "COMPREPLY=($(compgen -d -- \"$word\"))" : "COMPREPLY=()";
}

std::string BashCommand(const CommandDescription& command, const CommandLine& line) {
  std::string text = fmt::format("    {})\n      options={}\n", command.name,
                                 InSingleQuotes(NamesOf(AllOptions(command, line))));
  for (size_t i = 0; i < command.arguments.size(); ++i) {
    text +=
        fmt::format("      [[ $place == {} ]] && {}\n", i, BashValue(command.arguments[i].value));
  }
  return text + "      ;;\n";
}

std::string Bash(const CommandLine& line) {
  std::string option_cases;
  std::string with_value;
  for (const OptionDescription& option : OptionsWithValue(line)) {
    const std::string& name = option.names.front();
    option_cases += fmt::format("    {}) {}; return ;;\n", name, BashValue(option.value));
    with_value += (with_value.empty() ? "" : "|") + name;
  }
  std::vector<std::string> names;
  std::string cases;
  for (const CommandDescription& command : line.commands) {
    names.push_back(command.name);
    cases += BashCommand(command, line);
  }
  return fmt::format(R"(# bash completion of backup_ext; made by "backup_ext completion bash"
_backup_ext() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
  local command='' options={} place=-1 i
  COMPREPLY=()
  case $before in
{}  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${{COMP_WORDS[i]}} in
      {}) ((i++)) ;;
      -*) ;;
      *) [[ -n $command ]] || command=${{COMP_WORDS[i]}}; ((place++)) ;;
    esac
  done
  case $command in
    '') COMPREPLY=($(compgen -W {} -- "$word")) ;;
{}  esac
  if [[ $word == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$word")); fi
}}
complete -o filenames -F _backup_ext backup_ext
)",
                     InSingleQuotes(NamesOf(line.program.options)), option_cases, with_value,
                     InSingleQuotes(Joined(names)), cases);
}

// In a description of _arguments, brackets and colons mean something.
std::string ZshText(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string ZshValue(const std::string& value) {
  if (const auto words = WordsOf(value); !words.empty()) {
    return fmt::format("{}:({})", ZshText(value), Joined(words));
  }
  return fmt::format("{}:{}", ZshText(value), value == "DIRECTORY" ? "_directories" : " ");
}

std::string ZshArguments(const CommandDescription& command, std::string_view indent) {
  std::string text;
  for (const OptionDescription& option : command.options) {
    for (const std::string& name : option.names) {
      const std::string value = option.value.empty() ? "" : ":" + ZshValue(option.value);
      text +=
          fmt::format(" \\\n{}{}", indent,
                      InSingleQuotes(fmt::format("{}[{}]{}", name, ZshText(option.text), value)));
    }
  }
  for (size_t i = 0; i < command.arguments.size(); ++i) {
    text += fmt::format(
        " \\\n{}{}", indent,
        InSingleQuotes(fmt::format("{}:{}", i + 1, ZshValue(command.arguments[i].value))));
  }
  return text;
}

std::string Zsh(const CommandLine& line) {
  std::string names;
  std::string cases;
  for (const CommandDescription& command : line.commands) {
    names +=
        fmt::format("    {}\n", InSingleQuotes(fmt::format("{}:{}", command.name, command.text)));
    CommandDescription all = command;
    all.options = AllOptions(command, line);
    cases +=
        fmt::format("        {}) _arguments{} ;;\n", command.name, ZshArguments(all, "          "));
  }
  return fmt::format(R"(#compdef backup_ext
# zsh completion of backup_ext; made by "backup_ext completion zsh"
_backup_ext() {{
  local state line
  local -a commands
  commands=(
{}  )
  _arguments -C{} \
    '1: :->command' '*:: :->arguments'
  case $state in
    command) _describe command commands ;;
    arguments)
      case $words[1] in
{}      esac
      ;;
  esac
}}
_backup_ext "$@"
)",
                     names, ZshArguments({"", "", {}, line.program.options}, "    "), cases);
}

std::string FishOptions(const CommandDescription& command, const std::string& condition) {
  std::string text;
  for (const OptionDescription& option : command.options) {
    text += "complete -c backup_ext" + condition;
    for (const std::string& name : option.names) {
      text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    }
    const auto words = WordsOf(option.value);
    if (!words.empty()) text += fmt::format(" -x -a {}", InSingleQuotes(Joined(words)));
    if (option.value == "DIRECTORY") text += " -x -a '(__fish_complete_directories)'";
    if (!option.value.empty() && words.empty() && option.value != "DIRECTORY") text += " -x";
    text += fmt::format(" -d {}\n", InSingleQuotes(option.text));
  }
  return text;
}

std::string Fish(const CommandLine& line) {
  std::string text = "# fish completion of backup_ext; made by \"backup_ext completion fish\"\n";
  text += "complete -c backup_ext -f\n" + FishOptions(line.program, "");
  for (const CommandDescription& command : line.commands) {
    text += fmt::format("complete -c backup_ext -n __fish_use_subcommand -a {} -d {}\n",
                        command.name, InSingleQuotes(command.text));
    const std::string condition = fmt::format(" -n '__fish_seen_subcommand_from {}'", command.name);
    for (const OptionDescription& argument : command.arguments) {
      const auto words = WordsOf(argument.value);
      text += fmt::format(
          "complete -c backup_ext{} -a {} -d {}\n", condition,
          words.empty() ? "'(__fish_complete_directories)'" : InSingleQuotes(Joined(words)),
          InSingleQuotes(argument.text));
    }
    text += FishOptions(command, condition);
  }
  return text;
}

int Complete(const Program& program, const std::string& shell) {
  const CommandLine line = {Describe(program.app()), DescribeCommands(program.app())};
  if (shell == "bash") {
    fmt::print("{}", Bash(line));
  } else if (shell == "zsh") {
    fmt::print("{}", Zsh(line));
  } else if (shell == "fish") {
    fmt::print("{}", Fish(line));
  } else {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("there is no completion for shell \"{}\"", shell), {},
                "There is one for bash, zsh and fish.");
  }
  return 0;
}

}  // namespace

void AddCompletionCommand(Program* program) {
  const auto shell = std::make_shared<std::string>();
  CLI::App* const command =
      program->AddCommand("completion", "Write the completion of this command line for a shell",
                          [program, shell] { return Complete(*program, *shell); });
  command->add_option("shell", *shell, "Which shell")->type_name("bash|zsh|fish")->required();
}

}  // namespace backup_ext
