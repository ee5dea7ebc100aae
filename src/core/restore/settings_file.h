// postgresql.conf as text: lines, names, values.
//
// Source of the syntax: src/backend/utils/misc/guc-file.l.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace backup_ext {

// The text of such a file. Throws Error when it cannot be read, or is longer than 64 MiB.
[[nodiscard]] std::string ReadSettingsFile(const std::string& path);

// `'it''s'`: quoted so that the server reads `value` back.
[[nodiscard]] std::string QuoteSetting(std::string_view value);

// The name of the setting (or the directive: include, ...) that a line sets, in lower case; empty
// for a comment and an empty line.
[[nodiscard]] std::string SettingOfLine(std::string_view line);
// The value as written in the line, unquoted.
[[nodiscard]] std::string ValueOfLine(std::string_view line);

// The lines of a file, without line ends.
[[nodiscard]] std::vector<std::string_view> LinesOf(std::string_view text);

// The text without the lines that set one of `names` and without include directives.
[[nodiscard]] std::string WithoutSettings(std::string_view text,
                                          const std::set<std::string>& names);

// True when a server that reads this text would look at other places than its own directory: it
// names a data directory, or includes a file by an absolute path or through "..".
[[nodiscard]] bool LeadsElsewhere(std::string_view text);

// A postgresql.conf of the settings that a backup recorded, but for those that name a place on the
// origin, that no file can set, or whose name is none.
[[nodiscard]] std::string GenerateConfiguration(const std::map<std::string, std::string>& settings);

}  // namespace backup_ext
