// `backup_ext man-page`: the manual page, made from what --help says.
#include "man_page_command.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "command_description.h"
#include "manual_text.h"

namespace backup_ext {
namespace {

// Nothing in it is a request or an escape of roff.
std::string Roff(std::string_view text) {
  std::string escaped;
  if (!text.empty() && (text[0] == '.' || text[0] == '\'')) escaped += "\\&";
  for (const char c : text) {
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else if (c == '"') {
      escaped += "\\(dq";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string Bold(std::string_view text) { return fmt::format("\\fB{}\\fR", Roff(text)); }
std::string Italic(std::string_view text) { return fmt::format("\\fI{}\\fR", Roff(text)); }

std::string Paragraph(const std::string& term, const std::string& text) {
  return fmt::format(".TP\n{}\n{}\n", term, text);
}

std::string OptionTerm(const OptionDescription& option) {
  std::string term;
  for (const std::string& name : option.names) {
    term += (term.empty() ? "" : ", ") + (name[0] == '-' ? Bold(name) : Italic(option.value));
  }
  if (option.names.front()[0] == '-' && !option.value.empty()) term += " " + Italic(option.value);
  return term;
}

std::string OptionList(const std::vector<OptionDescription>& options) {
  std::string text;
  for (const OptionDescription& option : options) {
    text += Paragraph(OptionTerm(option), Roff(option.text) + ".");
  }
  return text;
}

std::string Rows(const std::vector<ManualRow>& rows) {
  std::string text;
  for (const ManualRow& row : rows) text += Paragraph(Bold(row.term), Roff(row.text));
  return text;
}

std::string Synopsis(const CommandDescription& command) {
  std::string line =
      fmt::format("{} {} {}", Bold("backup_ext"), Italic("[OPTION]..."), Bold(command.name));
  for (const OptionDescription& argument : command.arguments) line += " " + Italic(argument.value);
  for (const OptionDescription& option : command.options) {
    if (option.is_required) line += " " + OptionTerm(option);
  }
  return line + "\n.br\n";
}

std::string CommandSection(const CommandDescription& command) {
  return fmt::format(".SS {}\n{}.\n", Roff(command.name), Roff(command.text)) +
         OptionList(command.arguments) + OptionList(command.options);
}

std::string ManPage(const CLI::App& app) {
  const std::vector<CommandDescription> commands = DescribeCommands(app);
  std::string page =
      fmt::format(".TH BACKUP_EXT 1 \"\" \"backup_ext {}\" \"backup_ext\"\n", BACKUP_EXT_VERSION);
  page += ".SH NAME\nbackup_ext \\- backups of PostgreSQL, without the server\n.SH SYNOPSIS\n.nh\n";
  for (const CommandDescription& command : commands) page += Synopsis(command);
  page += fmt::format(".hy\n.SH DESCRIPTION\n{}\n", Roff(kProgramDescription));
  page += ".SH OPTIONS\nThey may stand before the command or after it.\n";
  page += OptionList(Describe(app).options);
  page += ".SH COMMANDS\n";
  for (const CommandDescription& command : commands) page += CommandSection(command);
  page += ".SH EXIT STATUS\n" + Rows(ExitCodeRows());
  page += ".SH ENVIRONMENT\n" + Rows(EnvironmentRows());
  page += ".SH EXAMPLES\n" + Rows(ExampleRows());
  page += fmt::format(".SH SEE ALSO\n{}(1), {}(1), {}(1)\n", Bold("pg_basebackup"),
                      Bold("pg_verifybackup"), Bold("pg_ctl"));
  return page;
}

}  // namespace

void AddManPageCommand(Program* program) {
  program
      ->AddCommand("man-page", "Write the manual page",
                   [program] {
                     fmt::print("{}", ManPage(program->app()));
                     return 0;
                   })
      ->group("");
}

}  // namespace backup_ext
