// What the manifest must hold, known before its files are read.
#include "verify/expected_files.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "cluster/wal_file.h"
#include "store/manifest_source.h"

namespace backup_ext {
namespace {

constexpr Microseconds kPauseInterval = 100'000;
constexpr std::string_view kWalFolder = "pg_wal";

bool IsFile(const ManifestEntry& entry) {
  return entry.kind == EntryKind::kFile || entry.kind == EntryKind::kConfiguration;
}

uint64_t AddChecked(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) {
    throw Error(ErrorCode::kDamaged, "the sizes in its manifest are beyond all bounds");
  }
  return sum;
}

void CheckWal(const BackupRecord& record, const WalFiles& wal, ProblemList* problems) {
  try {
    for (const MissingWal& missing :
         FindMissingWal(NeededWal(record), wal, record.wal_segment_bytes, kVerifyProblemLimit)) {
      problems->Add({JoinPath(kWalFolder, missing.name), missing.Describe(),
                     missing.found_bytes == 0 ? std::nullopt : std::optional(missing.found_bytes)});
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kDamaged) throw;
    problems->Add({"record.json", error.message(), std::nullopt});
  }
}

}  // namespace

std::vector<WalSpan> NeededWal(const BackupRecord& record) {
  std::vector<WalSpan> spans;
  for (const WalRange& range : WalRangesOf(record)) {
    spans.push_back({range.timeline, range.start_lsn, range.end_lsn});
  }
  return spans;
}

ExpectedFiles FindExpectedFiles(const Repository& repository, const BackupRecord& record,
                                ProblemList* problems, const std::function<void()>& pause_point) {
  CheckManifestObject(repository, record, pause_point);
  ExpectedFiles expected;
  WalFiles wal;
  // Without these no server starts, and without the history it finds no way from one timeline to
  // the next one.
  std::set<std::string> missing = {"PG_VERSION", "global/pg_control", "global/pg_filenode.map",
                                   "backup_label"};
  if (WalRangesOf(record).size() > 1) {
    missing.insert(JoinPath(kWalFolder, TimelineHistoryName(record.timeline)));
  }
  Microseconds next_pause = MonotonicNow();
  const auto reader = OpenManifest(repository, record);
  while (const auto entry = reader->Next()) {
    if (entry->kind == EntryKind::kRemoved) expected.removed.insert(entry->path);
    if (IsFile(*entry)) {
      expected.files++;
      expected.bytes = AddChecked(expected.bytes, entry->size_bytes);
    }
    if (IsFile(*entry) && reader->in_second_section()) expected.late.insert(entry->path);
    if (entry->kind == EntryKind::kFile && entry->size_bytes > 0) {
      missing.erase(entry->path);
      if (ParentDirectory(entry->path) == kWalFolder) {
        wal[BaseName(entry->path)] = entry->size_bytes;
      }
    }
    if (MonotonicNow() >= next_pause) {
      pause_point();
      next_pause = MonotonicNow() + kPauseInterval;
    }
  }
  for (const std::string& path : missing) {
    problems->Add({path, "the backup does not hold it", std::nullopt});
  }
  CheckWal(record, wal, problems);
  return expected;
}

}  // namespace backup_ext
