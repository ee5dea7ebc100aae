// Configuration files from outside the origin's data directory (Debian keeps them in /etc), and a
// postgresql.conf for a data directory that has none.
#include "restore/configuration.h"

#include <fmt/format.h>

#include <cctype>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "restore/settings_file.h"

namespace backup_ext {
namespace {

constexpr std::string_view kNoteName = "configuration.json";
constexpr size_t kNoteLimitBytes = 64 * 1024;

void WriteIndex(const StageTree& tree, const std::string& folder, const CapturedFiles& captured,
                PostgresManifest* manifest) {
  std::string index =
      "# Configuration files of the origin, kept for you to look at: this server does not read "
      "them.\n# Each line: the file here, a tab, where it was.\n";
  for (const OutsideFile& file : captured.outside) {
    index += fmt::format("{}\t{}\n", BaseName(file.path), file.origin_path);
  }
  WriteListed(tree, folder + "/index", index, 0600, manifest);
}

std::string OutsideFileNamed(std::string_view name, const CapturedFiles& captured) {
  for (const OutsideFile& file : captured.outside) {
    if (BaseName(file.origin_path) == name) return file.path;
  }
  return {};
}

}  // namespace

std::string EncodeConfigurationNote(const ConfigurationNote& note) {
  const nlohmann::json json = {{"generated", note.generated},
                               {"original", note.original},
                               {"hba_file", note.hba_file},
                               {"ident_file", note.ident_file}};
  return json.dump(2) + "\n";
}

std::optional<ConfigurationNote> ReadConfigurationNote(const std::string& directory) {
  const std::string path = fmt::format("{}/{}/{}", directory, kStageFolder, kNoteName);
  if (!StatLink(path)) return std::nullopt;
  try {
    const auto json = nlohmann::json::parse(AsText(ReadWholeFile(path, kNoteLimitBytes)));
    ConfigurationNote note;
    note.generated = json.at("generated");
    note.original = json.at("original");
    note.hba_file = json.at("hba_file");
    note.ident_file = json.at("ident_file");
    return note;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

std::string OutsideFilePath(std::string_view folder, size_t number, std::string_view origin_path) {
  std::string name;
  for (const char c : BaseName(origin_path).substr(0, 100)) {
    const bool plain =
        std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
    name += plain ? c : '_';
  }
  return fmt::format("{}/{}-{}", folder, number, name);
}

void WriteConfiguration(const StageTree& tree, const BackupRecord& record,
                        const std::string& folder, CapturedFiles* captured,
                        PostgresManifest* manifest) {
  const std::string_view origin_text = AsText(captured->postgresql_conf);
  ConfigurationNote note;
  const bool usable = captured->has_postgresql_conf && !LeadsElsewhere(origin_text);
  if (usable) {
    WriteListed(tree, "postgresql.conf", origin_text, captured->postgresql_conf_mode, manifest);
  } else {
    note.generated = true;
    if (captured->has_postgresql_conf) {
      const std::string origin_path = JoinPath(record.data_directory, "postgresql.conf");
      const std::string kept = OutsideFilePath(folder, captured->outside.size() + 1, origin_path);
      WriteListed(tree, kept, origin_text, 0600, manifest);
      captured->outside.push_back({origin_path, kept});
      note.original = kept;
    }
    WriteListed(tree, "postgresql.conf", GenerateConfiguration(record.settings), 0600, manifest);
  }
  if (!captured->outside.empty()) WriteIndex(tree, folder, *captured, manifest);
  note.hba_file = OutsideFileNamed("pg_hba.conf", *captured);
  note.ident_file = OutsideFileNamed("pg_ident.conf", *captured);
  WriteListed(tree, fmt::format("{}/{}", kStageFolder, kNoteName), EncodeConfigurationNote(note),
              0600, manifest);
}

}  // namespace backup_ext
