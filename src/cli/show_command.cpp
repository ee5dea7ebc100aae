// `backup_ext show`: everything that is known of one backup.
#include "show_command.h"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "backup_json.h"
#include "base/clock.h"
#include "base/lsn.h"
#include "output.h"
#include "store/catalog.h"
#include "store/hold.h"
#include "store/notes.h"

namespace backup_ext {
namespace {

nlohmann::json WalRangesJson(const BackupRecord& record) {
  nlohmann::json ranges = nlohmann::json::array();
  for (const WalRange& range : WalRangesOf(record)) {
    ranges.push_back({{"timeline", range.timeline},
                      {"start_lsn", FormatLsn(range.start_lsn)},
                      {"end_lsn", FormatLsn(range.end_lsn)}});
  }
  return ranges;
}

nlohmann::json TablespacesJson(const BackupRecord& record) {
  nlohmann::json tablespaces = nlohmann::json::array();
  for (const TablespaceRecord& tablespace : record.tablespaces) {
    tablespaces.push_back({{"oid", tablespace.oid},
                           {"location", tablespace.location},
                           {"bytes", tablespace.size_bytes}});
  }
  return tablespaces;
}

nlohmann::json MediaJson(const BackupRecord& record) {
  nlohmann::json directories = nlohmann::json::array();
  for (size_t i = 0; i < record.media.directories.size(); ++i) {
    const MediaDirectoryRecord& directory = record.media.directories[i];
    directories.push_back({{"number", i + 1},
                           {"path", directory.path},
                           {"files", directory.files},
                           {"bytes", directory.size_bytes}});
  }
  return directories;
}

uint64_t ReferencedBytes(const BackupRecord& record) {
  uint64_t bytes = 0;
  for (const PackUse& pack : record.packs) bytes += pack.used_bytes;
  return bytes;
}

nlohmann::json ShowJson(const Repository& repository, const BackupRecord& record,
                        const BackupNotes& notes) {
  nlohmann::json json = BackupJson(record, notes);
  json["parent_id"] = TextOrNull(record.parent_id);
  // As text: 64 bits are more than a number of JSON can be trusted with.
  json["system_identifier"] = std::to_string(record.system_identifier);
  json["from_standby"] = record.from_standby;
  json["checkpoint_lsn"] = FormatLsn(record.checkpoint_lsn);
  json["wal_ranges"] = WalRangesJson(record);
  json["wal_bytes"] = record.wal_bytes;
  json["files"] = record.files;
  json["referenced_bytes"] = ReferencedBytes(record);
  json["packs"] = record.packs.size();
  json["data_checksums"] = record.data_checksums;
  json["block_bytes"] = record.block_bytes;
  json["wal_segment_bytes"] = record.wal_segment_bytes;
  json["wal_level"] = record.wal_level;
  json["tablespaces"] = TablespacesJson(record);
  json["media_directories"] = MediaJson(record);
  json["media_files"] = MediaFiles(record);
  json["media_read_at"] =
      HasMedia(record) ? nlohmann::json(FormatTime(record.media.read_at)) : nullptr;
  json["media_unreadable"] = record.media.unreadable;
  json["settings"] = record.settings;
  json["verify_problems"] = notes.verify ? nlohmann::json(notes.verify->problems) : nullptr;
  json["verify_first_problem"] = TextOrNull(notes.verify ? notes.verify->first_problem : "");
  json["audit_findings"] = TextOrNull(notes.audit ? notes.audit->findings : "");
  json["is_being_read"] = IsHeld(repository, record.backup_id);
  return json;
}

std::string ValueText(const std::string& name, const nlohmann::json& value) {
  if (value.is_null()) return "-";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_string()) return Printable(value.get<std::string>());
  if (value.is_number_unsigned() && name.ends_with("_bytes")) {
    return fmt::format("{} ({})", value.dump(), SizeText(value.get<uint64_t>()));
  }
  return value.dump();
}

void PrintList(const nlohmann::json& list) {
  for (const nlohmann::json& row : list) {
    std::string line;
    for (const auto& [name, value] : row.items()) {
      line += fmt::format("{}{} {}", line.empty() ? "" : ", ", name, ValueText(name, value));
    }
    fmt::print("  {}\n", line);
  }
}

void PrintText(const nlohmann::json& json) {
  for (const auto& [name, value] : json.items()) {
    if (value.is_object()) {
      fmt::print("{}:\n", name);
      for (const auto& [key, text] : value.items()) {
        fmt::print("  {} = {}\n", key, ValueText("", text));
      }
    } else if (value.is_array()) {
      fmt::print("{}:{}\n", name, value.empty() ? " none" : "");
      PrintList(value);
    } else {
      fmt::print("{:<22}{}\n", name + ":", ValueText(name, value));
    }
  }
}

int Show(const Program& program, const std::string& backup_id) {
  const Repository repository = program.OpenRepository();
  const BackupRecord record = FindBackup(repository, backup_id);
  const nlohmann::json json = ShowJson(repository, record, ReadNotes(repository, record.backup_id));
  if (program.json()) {
    PrintJson(json);
  } else {
    PrintText(json);
  }
  return 0;
}

}  // namespace

void AddShowCommand(Program* program) {
  const auto backup_id = std::make_shared<std::string>();
  CLI::App* const command =
      program->AddCommand("show", "Show everything that is known of a backup",
                          [program, backup_id] { return Show(*program, *backup_id); });
  AddBackupArgument(command, backup_id.get());
}

}  // namespace backup_ext
