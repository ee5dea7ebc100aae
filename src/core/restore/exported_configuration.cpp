// The configuration of an exported data directory, where the origin kept its own in another place.
#include "restore/exported_configuration.h"

#include <string_view>

#include "base/file.h"
#include "restore/settings_file.h"

namespace backup_ext {
namespace {

constexpr uint64_t kFileLimitBytes = 16ULL * 1024 * 1024;
constexpr const char* kMainFile = "postgresql.conf";

// Empty: no file that a data directory has.
std::string UsualName(const BackupRecord& record, const std::string& origin_path) {
  const auto is_set_to = [&](const char* setting) {
    const auto found = record.settings.find(setting);
    return found != record.settings.end() && found->second == origin_path;
  };
  if (is_set_to("hba_file")) return "pg_hba.conf";
  if (is_set_to("ident_file")) return "pg_ident.conf";
  const std::string name = BaseName(origin_path);
  return name == "pg_hba.conf" || name == "pg_ident.conf" ? name : std::string();
}

}  // namespace

void ExportedConfiguration::See(const std::string& path) {
  if (path == kMainFile || path == "pg_hba.conf" || path == "pg_ident.conf") seen_.insert(path);
}

void ExportedConfiguration::Take(const ManifestEntry& entry, FileWriter* reader) {
  const std::string name = UsualName(*record_, entry.link_target);
  if (!name.empty()) outside_[name] = std::string(AsText(reader->Read(entry, kFileLimitBytes)));
}

std::map<std::string, std::string> ExportedConfiguration::Missing() const {
  std::map<std::string, std::string> missing;
  for (const auto& [name, content] : outside_) {
    if (seen_.count(name) == 0) missing[name] = content;
  }
  if (seen_.count(kMainFile) == 0) missing[kMainFile] = GenerateConfiguration(record_->settings);
  return missing;
}

}  // namespace backup_ext
