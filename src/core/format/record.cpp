// The record of one backup as JSON. doc/repository_format.md, "Record", lists the members.
#include "format/record.h"

#include <fmt/core.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/lsn.h"
#include "format/sealed_json.h"

namespace backup_ext {
namespace {

constexpr std::string_view kRecordWhat = "backup record";

// Members whose name or value is not UTF-8 go to `settings_hex`, as pairs of hexadecimal text.
void PutSettings(const std::map<std::string, std::string>& settings, Json* object) {
  Json readable = Json::object();
  Json other = Json::array();
  for (const auto& [name, value] : settings) {
    if (IsUtf8(name) && IsUtf8(value)) {
      readable[name] = value;
    } else {
      other.push_back(Json::array({HexEncode(AsBytes(name)), HexEncode(AsBytes(value))}));
    }
  }
  (*object)["settings"] = std::move(readable);
  if (!other.empty()) {
    (*object)["settings_hex"] = std::move(other);
  }
}

std::map<std::string, std::string> GetSettings(const Json& object, const JsonFields& fields) {
  std::map<std::string, std::string> settings;
  const Json& readable = fields.Member("settings");
  if (!readable.is_object()) {
    fields.ThrowInvalid("settings");
  }
  for (const auto& [name, value] : readable.items()) {
    if (!value.is_string()) {
      fields.ThrowInvalid("settings");
    }
    settings.emplace(name, value.get<std::string>());
  }
  if (!object.contains("settings_hex")) {
    return settings;
  }
  for (const Json& pair : fields.Array("settings_hex")) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
      fields.ThrowInvalid("settings_hex");
    }
    settings.emplace(AsText(HexDecode(pair[0].get<std::string>())),
                     AsText(HexDecode(pair[1].get<std::string>())));
  }
  return settings;
}

void PutLists(const BackupRecord& record, Json* object) {
  Json ranges = Json::array();
  for (const WalRange& range : record.wal_ranges) {
    ranges.push_back({{"timeline", range.timeline},
                      {"start_lsn", FormatLsn(range.start_lsn)},
                      {"end_lsn", FormatLsn(range.end_lsn)}});
  }
  (*object)["wal_ranges"] = std::move(ranges);
  Json tablespaces = Json::array();
  for (const TablespaceRecord& tablespace : record.tablespaces) {
    Json item = {{"oid", tablespace.oid}, {"size_bytes", tablespace.size_bytes}};
    PutText("location", tablespace.location, &item);
    tablespaces.push_back(std::move(item));
  }
  (*object)["tablespaces"] = std::move(tablespaces);
  Json packs = Json::array();
  for (const PackUse& use : record.packs) {
    packs.push_back({{"name", PackName(use.pack)},
                     {"used_bytes", use.used_bytes},
                     {"size_bytes", use.size_bytes}});
  }
  (*object)["packs"] = std::move(packs);
}

void GetLists(const JsonFields& fields, BackupRecord* record) {
  for (const Json& item : fields.Array("wal_ranges")) {
    const JsonFields range(item, kRecordWhat);
    record->wal_ranges.push_back(
        {range.U32("timeline"), range.Lsn("start_lsn"), range.Lsn("end_lsn")});
  }
  for (const Json& item : fields.Array("tablespaces")) {
    const JsonFields tablespace(item, kRecordWhat);
    record->tablespaces.push_back(
        {tablespace.U32("oid"), tablespace.Text("location"), tablespace.U64("size_bytes")});
  }
  for (const Json& item : fields.Array("packs")) {
    const JsonFields use(item, kRecordWhat);
    const std::optional<PackId> pack = ParsePackName(use.Text("name"));
    if (!pack) {
      fields.ThrowInvalid("packs");
    }
    record->packs.push_back({*pack, use.U64("used_bytes"), use.U64("size_bytes")});
  }
}

void PutMedia(const MediaRecord& media, Json* object) {
  if (media.directories.empty()) return;
  Json json;
  Json directories = Json::array();
  for (const MediaDirectoryRecord& directory : media.directories) {
    Json item = {{"files", directory.files}, {"size_bytes", directory.size_bytes}};
    PutText("path", directory.path, &item);
    directories.push_back(std::move(item));
  }
  json["directories"] = std::move(directories);
  json["read_at"] = FormatTime(media.read_at);
  json["unreadable"] = media.unreadable;
  PutText("first_unreadable", media.first_unreadable, &json);
  json["manifest_bytes"] = media.manifest_bytes;
  PutText("manifest_digest", media.manifest_digest, &json);
  (*object)["media"] = std::move(json);
}

MediaRecord GetMedia(const Json& object) {
  MediaRecord media;
  if (!object.contains("media")) return media;
  const JsonFields fields(object.at("media"), kRecordWhat);
  for (const Json& item : fields.Array("directories")) {
    const JsonFields directory(item, kRecordWhat);
    media.directories.push_back(
        {directory.Text("path"), directory.U64("files"), directory.U64("size_bytes")});
  }
  media.read_at = fields.Time("read_at");
  media.unreadable = fields.U64("unreadable");
  media.first_unreadable = fields.Text("first_unreadable");
  media.manifest_bytes = fields.U64("manifest_bytes");
  media.manifest_digest = fields.Text("manifest_digest");
  return media;
}

void PutBackup(const BackupRecord& record, Json* object) {
  Json& json = *object;
  json["version"] = record.version;
  json["backup_id"] = record.backup_id;
  PutText("label", record.label, object);
  PutText("kind", record.kind, object);
  PutText("trigger", record.trigger, object);
  PutText("state", record.state, object);
  PutText("error", record.error, object);
  json["parent_id"] = record.parent_id;
  PutText("parent_reason", record.parent_reason, object);
  json["started_at"] = FormatTime(record.started_at);
  json["finished_at"] = FormatTime(record.finished_at);
  json["database_bytes"] = record.database_bytes;
  json["media_bytes"] = record.media_bytes;
  json["stored_bytes"] = record.stored_bytes;
  json["wal_bytes"] = record.wal_bytes;
  json["files"] = record.files;
}

void GetBackup(const JsonFields& fields, BackupRecord* record) {
  record->backup_id = fields.Text("backup_id");
  record->label = fields.Text("label");
  record->kind = fields.Text("kind");
  record->trigger = fields.Text("trigger");
  record->state = fields.Text("state");
  record->error = fields.Text("error");
  record->parent_id = fields.Text("parent_id");
  record->parent_reason = fields.Text("parent_reason");
  record->started_at = fields.Time("started_at");
  record->finished_at = fields.Time("finished_at");
  record->database_bytes = fields.U64("database_bytes");
  record->media_bytes = fields.U64("media_bytes");
  record->stored_bytes = fields.U64("stored_bytes");
  record->wal_bytes = fields.U64("wal_bytes");
  record->files = fields.U64("files");
  // Both become parts of names of objects.
  if (!IsBackupId(record->backup_id)) {
    fields.ThrowInvalid("backup_id");
  }
  if (!record->parent_id.empty() && !IsBackupId(record->parent_id)) {
    fields.ThrowInvalid("parent_id");
  }
}

void PutCluster(const BackupRecord& record, Json* object) {
  Json& json = *object;
  json["system_identifier"] = std::to_string(record.system_identifier);
  json["timeline"] = record.timeline;
  json["start_lsn"] = FormatLsn(record.start_lsn);
  json["checkpoint_lsn"] = FormatLsn(record.checkpoint_lsn);
  json["stop_lsn"] = FormatLsn(record.stop_lsn);
  json["from_standby"] = record.from_standby;
  PutText("server_version", record.server_version, object);
  json["server_version_num"] = record.server_version_num;
  json["control_version"] = record.control_version;
  json["catalog_version"] = record.catalog_version;
  json["block_bytes"] = record.block_bytes;
  json["segment_blocks"] = record.segment_blocks;
  json["wal_segment_bytes"] = record.wal_segment_bytes;
  json["data_checksums"] = record.data_checksums;
  PutText("wal_level", record.wal_level, object);
  PutText("data_directory", record.data_directory, object);
  PutText("host", record.host, object);
}

void GetCluster(const JsonFields& fields, BackupRecord* record) {
  record->system_identifier = fields.DecimalText("system_identifier");
  record->timeline = fields.U32("timeline");
  record->start_lsn = fields.Lsn("start_lsn");
  record->checkpoint_lsn = fields.Lsn("checkpoint_lsn");
  record->stop_lsn = fields.Lsn("stop_lsn");
  record->from_standby = fields.Bool("from_standby");
  record->server_version = fields.Text("server_version");
  record->server_version_num = fields.U32("server_version_num");
  record->control_version = fields.U32("control_version");
  record->catalog_version = fields.U32("catalog_version");
  record->block_bytes = fields.U32("block_bytes");
  record->segment_blocks = fields.U32("segment_blocks");
  record->wal_segment_bytes = fields.U32("wal_segment_bytes");
  record->data_checksums = fields.Bool("data_checksums");
  record->wal_level = fields.Text("wal_level");
  record->data_directory = fields.Text("data_directory");
  record->host = fields.Text("host");
}

}  // namespace

std::vector<WalRange> WalRangesOf(const BackupRecord& record) {
  if (!record.wal_ranges.empty()) return record.wal_ranges;
  return {{record.timeline, record.start_lsn, record.stop_lsn}};
}

std::string EncodeRecord(const BackupRecord& record) {
  Json object;
  PutBackup(record, &object);
  PutCluster(record, &object);
  PutSettings(record.settings, &object);
  object["manifest_bytes"] = record.manifest_bytes;
  PutText("manifest_digest", record.manifest_digest, &object);
  PutLists(record, &object);
  PutMedia(record.media, &object);
  std::string text = SealJson(object);
  // Writing it is the commit: one that could not be read again would lose the backup.
  if (DecodeRecord(text) != record) {
    throw Error(ErrorCode::kInternal, "backup record does not survive its encoding");
  }
  return text;
}

BackupRecord DecodeRecord(std::string_view text) {
  const Json object = OpenSealedJson(text, kRecordWhat);
  const JsonFields fields(object, kRecordWhat);
  BackupRecord record;
  record.version = fields.U32("version");
  if (record.version > kRecordVersion) {
    throw Error(ErrorCode::kUnsupportedFormat,
                fmt::format("cannot read backup record of version {}", record.version),
                fmt::format("This program reads versions up to {}.", kRecordVersion),
                "Use the version of backup_ext that wrote the backup, or a newer one.");
  }
  GetBackup(fields, &record);
  GetCluster(fields, &record);
  record.settings = GetSettings(object, fields);
  record.manifest_bytes = fields.U64("manifest_bytes");
  record.manifest_digest = fields.Text("manifest_digest");
  GetLists(fields, &record);
  record.media = GetMedia(object);
  return record;
}

}  // namespace backup_ext
