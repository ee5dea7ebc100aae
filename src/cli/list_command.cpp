// `backup_ext list`: the catalog, for a person or a program.
#include "list_command.h"

#include <fmt/format.h>

#include "backup_json.h"
#include "base/clock.h"
#include "output.h"
#include "store/catalog.h"
#include "store/notes.h"

namespace backup_ext {
namespace {

bool IsPinned(const BackupNotes& notes) {
  return notes.unreadable_pin || (notes.pin && notes.pin->pinned_until > Now());
}

nlohmann::json ListJson(const Repository& repository, const Catalog& catalog) {
  nlohmann::json list = nlohmann::json::array();
  for (const BackupRecord& record : catalog.backups) {
    list.push_back(BackupJson(record, ReadNotes(repository, record.backup_id)));
  }
  for (const UnreadableRecord& record : catalog.unreadable) {
    list.push_back(
        {{"backup_id", record.backup_id}, {"state", "unreadable"}, {"error", record.problem}});
  }
  return {{"repository", repository.location()}, {"backups", list}};
}

void PrintTable(const Repository& repository, const Catalog& catalog) {
  constexpr const char* kRow =
      "{:<24}  {:<11}  {:<8}  {:<19}  {:>8}  {:>10}  {:>10}  {:>10}  {:<6}  {:<8}  {}\n";
  fmt::print(kRow, "BACKUP", "KIND", "STATE", "STARTED (UTC)", "SECONDS", "DATABASE", "MEDIA",
             "STORED", "PINNED", "VERIFIED", "LABEL");
  for (const BackupRecord& record : catalog.backups) {
    const BackupNotes notes = ReadNotes(repository, record.backup_id);
    std::string started = FormatTime(record.started_at).substr(0, 19);
    started[10] = ' ';
    const Microseconds seconds = (record.finished_at - record.started_at) / kMicrosecondsPerSecond;
    fmt::print(kRow, record.backup_id, record.kind, record.state, started, seconds,
               SizeText(record.database_bytes),
               HasMedia(record) ? SizeText(record.media_bytes) : "", SizeText(record.stored_bytes),
               IsPinned(notes) ? "yes" : "", VerifyVerdict(notes), Printable(record.label));
  }
  for (const UnreadableRecord& record : catalog.unreadable) {
    PrintWarning(fmt::format("backup {} cannot be read: {}", record.backup_id, record.problem));
  }
}

int List(const Program& program) {
  const Repository repository = program.OpenRepository();
  const Catalog catalog = ReadCatalog(repository);
  if (program.json()) {
    PrintJson(ListJson(repository, catalog));
  } else {
    PrintTable(repository, catalog);
  }
  return 0;
}

}  // namespace

void AddListCommand(Program* program) {
  program->AddCommand("list", "Show the backups, newest first",
                      [program] { return List(*program); });
}

}  // namespace backup_ext
