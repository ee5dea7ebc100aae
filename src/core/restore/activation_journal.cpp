// The journal of an activation, and the mark of the next one.
#include "restore/activation_journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "restore/owned_file.h"
#include "restore/path_text.h"

namespace backup_ext {
namespace {

constexpr size_t kJournalLimitBytes = 64 * 1024;
constexpr std::string_view kReplaceOtherCluster = "replace other cluster";

NLOHMANN_JSON_SERIALIZE_ENUM(ActivationState, {{ActivationState::kActivating, "activating"},
                                               {ActivationState::kActivated, "activated"},
                                               {ActivationState::kUndoing, "undoing"}})
NLOHMANN_JSON_SERIALIZE_ENUM(ConfigurationFate, {{ConfigurationFate::kKeep, "keep"},
                                                 {ConfigurationFate::kRemove, "remove"},
                                                 {ConfigurationFate::kOriginal, "original"}})

std::string MarkPath(const std::string& data_directory) {
  return data_directory + ".backup_ext_next";
}

std::string PathOf(const nlohmann::json& json, const char* name) {
  return PathFromText(json.at(name).get<std::string>());
}

}  // namespace

std::string ActivationJournalPath(const std::string& data_directory) {
  return data_directory + ".backup_ext_activation";
}

std::optional<ActivationJournal> ReadActivationJournal(const std::string& data_directory) {
  const std::string path = ActivationJournalPath(data_directory);
  if (!StatLink(path)) return std::nullopt;
  try {
    const auto json = nlohmann::json::parse(AsText(ReadWholeFile(path, kJournalLimitBytes)));
    ActivationJournal journal;
    journal.state = json.at("state");
    journal.stage_id = json.at("stage_id");
    journal.data_directory = PathOf(json, "data_directory");
    journal.stage_directory = PathOf(json, "stage_directory");
    journal.new_inode = json.at("new_inode");
    journal.old_inode = json.at("old_inode");
    journal.tablespaces_from = PathOf(json, "tablespaces_from");
    journal.tablespaces_to = PathOf(json, "tablespaces_to");
    journal.configuration = json.at("configuration");
    journal.began_at = ParseTime(json.at("began_at").get<std::string>());
    return journal;
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorCode::kDamaged, fmt::format("journal \"{}\" cannot be read", path),
                "It says how to finish or to undo an activation.",
                "Look which of the two directories is the data directory that you want, put it in "
                "place by hand, and remove the file.");
  }
}

void WriteActivationJournal(const ActivationJournal& journal) {
  const nlohmann::json json = {{"state", journal.state},
                               {"stage_id", journal.stage_id},
                               {"data_directory", PathToText(journal.data_directory)},
                               {"stage_directory", PathToText(journal.stage_directory)},
                               {"new_inode", journal.new_inode},
                               {"old_inode", journal.old_inode},
                               {"tablespaces_from", PathToText(journal.tablespaces_from)},
                               {"tablespaces_to", PathToText(journal.tablespaces_to)},
                               {"configuration", journal.configuration},
                               {"began_at", FormatTime(journal.began_at)}};
  const std::string& owner =
      StatLink(journal.stage_directory) ? journal.stage_directory : journal.data_directory;
  WriteOwnedFile(ActivationJournalPath(journal.data_directory), json.dump(2) + "\n", owner);
}

void RemoveActivationJournal(const std::string& data_directory) {
  RemoveFile(ActivationJournalPath(data_directory));
  SyncDirectory(ParentDirectory(data_directory));
}

// One line for the path, then one for the option.
void WriteNextStageMark(const std::string& data_directory, const NextStageMark& mark) {
  std::string text = PathToText(mark.stage_directory) + "\n";
  if (mark.replace_other_cluster) text.append(kReplaceOtherCluster).append("\n");
  WriteOwnedFile(MarkPath(data_directory), text, mark.stage_directory);
}

std::optional<NextStageMark> ReadNextStageMark(const std::string& data_directory) {
  const std::string path = MarkPath(data_directory);
  if (!StatLink(path)) return std::nullopt;
  const Bytes content = ReadWholeFile(path, kJournalLimitBytes);
  const std::string_view text = AsText(content);
  const size_t end = std::min(text.find('\n'), text.size());
  return NextStageMark{
      .stage_directory = PathFromText(std::string(text.substr(0, end))),
      .replace_other_cluster = text.find(kReplaceOtherCluster, end) != std::string_view::npos};
}

bool RemoveNextStageMark(const std::string& data_directory) {
  if (!RemoveFile(MarkPath(data_directory))) return false;
  SyncDirectory(ParentDirectory(data_directory));
  return true;
}

}  // namespace backup_ext
