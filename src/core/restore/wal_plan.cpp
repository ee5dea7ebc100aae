// Is the WAL there that a backup needs to become consistent?
#include "restore/wal_plan.h"

#include <fmt/format.h>

#include <vector>

#include "base/error.h"
#include "base/lsn.h"

namespace backup_ext {

void CheckWalIsComplete(const BackupRecord& record, const WalFiles& files) {
  std::vector<WalSpan> spans;
  for (const WalRange& range : WalRangesOf(record)) {
    spans.push_back({range.timeline, range.start_lsn, range.end_lsn});
  }
  const std::vector<MissingWal> missing = FindMissingWal(spans, files, record.wal_segment_bytes, 1);
  if (missing.empty()) return;
  const WalSpan& span = missing.front().span;
  throw Error(ErrorCode::kDamaged, missing.front().Describe(),
              fmt::format("It needs the WAL from {} to {} on timeline {}.",
                          FormatLsn(span.start_lsn), FormatLsn(span.end_lsn), span.timeline));
}

}  // namespace backup_ext
