// postgresql.conf as text: lines, names, values.
#include "restore/settings_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>

#include "base/digits.h"
#include "base/file.h"

namespace backup_ext {
namespace {

constexpr uint64_t kSettingsLimitBytes = 64ULL * 1024 * 1024;
constexpr std::string_view kLineBlanks = " \t\r\f\v";

bool IsNameStart(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool IsNamePart(char c) { return IsNameStart(c) || IsDigit(c) || c == '$' || c == '.'; }

size_t EndOfName(std::string_view line, size_t begin) {
  if (begin >= line.size() || !IsNameStart(line[begin])) return begin;
  size_t end = begin + 1;
  while (end < line.size() && IsNamePart(line[end])) ++end;
  return end;
}

size_t SkipBlanks(std::string_view line, size_t begin) {
  return std::min(line.find_first_not_of(kLineBlanks, begin), line.size());
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool IsInclude(std::string_view name) {
  return name == "include" || name == "include_if_exists" || name == "include_dir";
}

// Places on the origin, what only its command line or its build can say, and directives. `ssl`
// would keep a server from starting that has not got the certificate.
constexpr std::array<std::string_view, 48> kNotGenerated = {"data_directory",
                                                            "config_file",
                                                            "hba_file",
                                                            "ident_file",
                                                            "hosts_file",
                                                            "external_pid_file",
                                                            "unix_socket_directories",
                                                            "unix_socket_group",
                                                            "unix_socket_permissions",
                                                            "log_directory",
                                                            "ssl",
                                                            "ssl_cert_file",
                                                            "ssl_key_file",
                                                            "ssl_ca_file",
                                                            "ssl_crl_file",
                                                            "ssl_crl_dir",
                                                            "ssl_dh_params_file",
                                                            "stats_temp_directory",
                                                            "promote_trigger_file",
                                                            "krb_server_keyfile",
                                                            "block_size",
                                                            "data_checksums",
                                                            "data_directory_mode",
                                                            "debug_assertions",
                                                            "effective_wal_level",
                                                            "huge_pages_status",
                                                            "in_hot_standby",
                                                            "integer_datetimes",
                                                            "is_superuser",
                                                            "lc_collate",
                                                            "lc_ctype",
                                                            "max_function_args",
                                                            "max_identifier_length",
                                                            "max_index_keys",
                                                            "num_os_semaphores",
                                                            "segment_size",
                                                            "server_encoding",
                                                            "server_version",
                                                            "server_version_num",
                                                            "session_authorization",
                                                            "shared_memory_size",
                                                            "shared_memory_size_in_huge_pages",
                                                            "ssl_library",
                                                            "transaction_deferrable",
                                                            "transaction_isolation",
                                                            "transaction_read_only",
                                                            "wal_block_size",
                                                            "wal_segment_size"};

bool IsSettingName(std::string_view name) {
  return !name.empty() && EndOfName(name, 0) == name.size() && !IsInclude(LowerCase(name));
}

}  // namespace

std::string ReadSettingsFile(const std::string& path) {
  return std::string(AsText(ReadWholeFile(path, kSettingsLimitBytes)));
}

std::string QuoteSetting(std::string_view value) {
  std::string quoted = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') {
      quoted += c;
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\r') {
      quoted += "\\r";
    } else if (c != '\0') {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string SettingOfLine(std::string_view line) {
  const size_t begin = SkipBlanks(line, 0);
  return LowerCase(line.substr(begin, EndOfName(line, begin) - begin));
}

std::string ValueOfLine(std::string_view line) {
  size_t at = SkipBlanks(line, EndOfName(line, SkipBlanks(line, 0)));
  if (at < line.size() && line[at] == '=') at = SkipBlanks(line, at + 1);
  if (at >= line.size() || line[at] != '\'') {
    return std::string(line.substr(at, line.find_first_of(" \t\r\f\v#", at) - at));
  }
  std::string value;
  for (++at; at < line.size(); ++at) {
    if (line[at] == '\'') {
      if (at + 1 >= line.size() || line[at + 1] != '\'') break;
      ++at;
    } else if (line[at] == '\\' && at + 1 < line.size()) {
      ++at;
    }
    value += line[at];
  }
  return value;
}

std::vector<std::string_view> LinesOf(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string WithoutSettings(std::string_view text, const std::set<std::string>& names) {
  std::string rest;
  for (const std::string_view line : LinesOf(text)) {
    const std::string name = SettingOfLine(line);
    if (names.count(name) != 0 || IsInclude(name)) continue;
    rest.append(line).append("\n");
  }
  return rest;
}

bool LeadsElsewhere(std::string_view text) {
  for (const std::string_view line : LinesOf(text)) {
    const std::string name = SettingOfLine(line);
    if (name == "data_directory") return true;
    if (!IsInclude(name)) continue;
    const std::string value = ValueOfLine(line);
    if (value.empty() || value[0] == '/' || value.find("..") != std::string::npos) return true;
  }
  return false;
}

std::string GenerateConfiguration(const std::map<std::string, std::string>& settings) {
  std::string text =
      "# Written by backup_ext: the settings that the server ran with when it was backed up.\n";
  for (const auto& [name, value] : settings) {
    const bool denied = std::find(kNotGenerated.begin(), kNotGenerated.end(), LowerCase(name)) !=
                        kNotGenerated.end();
    if (denied || !IsSettingName(name)) continue;
    text += fmt::format("{} = {}\n", name, QuoteSetting(value));
  }
  return text;
}

}  // namespace backup_ext
