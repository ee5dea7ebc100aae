// `backup_ext list`: the catalog, for a person or a program.
#include "list_command.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "size_text.h"
#include "store/catalog.h"
#include "store/notes.h"
#include "store/repository.h"

namespace backup_ext {
namespace {

// "infinity" for a pin without end, and for one that cannot be read; null: not pinned.
nlohmann::json PinJson(const BackupNotes& notes) {
  if (notes.unreadable_pin) return "infinity";
  if (!notes.pin || notes.pin->pinned_until == kNotPinned) return nullptr;
  if (notes.pin->pinned_until == kPinnedForEver) return "infinity";
  return FormatTime(notes.pin->pinned_until);
}

bool IsPinned(const BackupNotes& notes) {
  return notes.unreadable_pin || (notes.pin && notes.pin->pinned_until > Now());
}

nlohmann::json ToJson(const BackupRecord& record, const BackupNotes& notes) {
  nlohmann::json json = {{"backup_id", record.backup_id},
                         {"label", record.label},
                         {"kind", record.kind},
                         {"trigger", record.trigger},
                         {"state", record.state},
                         {"error", record.error},
                         {"started_at", FormatTime(record.started_at)},
                         {"finished_at", FormatTime(record.finished_at)},
                         {"database_bytes", record.database_bytes},
                         {"stored_bytes", record.stored_bytes},
                         {"start_lsn", FormatLsn(record.start_lsn)},
                         {"stop_lsn", FormatLsn(record.stop_lsn)},
                         {"timeline", record.timeline},
                         {"server_version", record.server_version},
                         {"data_directory", record.data_directory},
                         {"host", record.host},
                         {"pinned_until", PinJson(notes)},
                         {"verified_at", nullptr},
                         {"verify_result", nullptr}};
  if (notes.verify) json["verified_at"] = FormatTime(notes.verify->made_at);
  if (const std::string verdict = VerifyVerdict(notes); !verdict.empty()) {
    json["verify_result"] = verdict;
  }
  return json;
}

void PrintJson(const Repository& repository, const Catalog& catalog) {
  nlohmann::json list = nlohmann::json::array();
  for (const BackupRecord& record : catalog.backups) {
    list.push_back(ToJson(record, ReadNotes(repository, record.backup_id)));
  }
  for (const UnreadableRecord& record : catalog.unreadable) {
    list.push_back(
        {{"backup_id", record.backup_id}, {"state", "unreadable"}, {"error", record.problem}});
  }
  const std::string text =
      list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
}

// Labels were typed by people: nothing in them may steer a terminal.
std::string Printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

void PrintTable(const Repository& repository, const Catalog& catalog) {
  constexpr const char* kRow =
      "{:<24}  {:<11}  {:<8}  {:<19}  {:>8}  {:>10}  {:>10}  {:<6}  {:<8}  {}\n";
  fmt::print(kRow, "BACKUP", "KIND", "STATE", "STARTED (UTC)", "SECONDS", "DATABASE", "STORED",
             "PINNED", "VERIFIED", "LABEL");
  for (const BackupRecord& record : catalog.backups) {
    const BackupNotes notes = ReadNotes(repository, record.backup_id);
    std::string started = FormatTime(record.started_at).substr(0, 19);
    started[10] = ' ';
    const Microseconds seconds = (record.finished_at - record.started_at) / kMicrosecondsPerSecond;
    fmt::print(kRow, record.backup_id, record.kind, record.state, started, seconds,
               SizeText(record.database_bytes), SizeText(record.stored_bytes),
               IsPinned(notes) ? "yes" : "", VerifyVerdict(notes), Printable(record.label));
  }
  for (const UnreadableRecord& record : catalog.unreadable) {
    fmt::print(stderr, "backup_ext: warning: backup {} cannot be read: {}\n", record.backup_id,
               Printable(record.problem));
  }
}

}  // namespace

void RunList(const std::string& location, const ListOptions& options) {
  const Repository repository = Repository::Open(location);
  const Catalog catalog = ReadCatalog(repository);
  if (options.json) {
    PrintJson(repository, catalog);
  } else {
    PrintTable(repository, catalog);
  }
  if (std::fflush(stdout) != 0) throw Error(ErrorCode::kIo, "could not write to standard output");
}

}  // namespace backup_ext
