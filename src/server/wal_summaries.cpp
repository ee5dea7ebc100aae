// What the server's WAL summaries say was changed.
#include "wal_summaries.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <span>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"

#include "guard.h"
#include "postgres_headers.h"
#include "version.h"

namespace backup_ext {

#if PG_VERSION_NUM < 170000

std::optional<ChangedBlocks> ReadWalSummaries(const std::vector<TimelineSpan>&, uint64_t, uint64_t,
                                              const std::function<void()>&, std::string* reason) {
  *reason = "this version of PostgreSQL has none";
  return std::nullopt;
}

#else

namespace {

constexpr const char* kDirectory = "pg_wal/summaries";
constexpr Microseconds kLongestWait = 60 * kMicrosecondsPerSecond;
// Usually it is done in a moment.
constexpr int kQuickLooks = 20;
constexpr long kQuickLookMs = 5;
constexpr long kLookMs = 50;

struct Summary {
  uint32_t timeline = 0;
  uint64_t begin_lsn = 0;
  uint64_t end_lsn = 0;
  std::string path;  // relative to the data directory, which is the current one
};

// Source: src/backend/backup/walsummary.c, IsWalSummaryFilename() and GetWalSummaries().
std::optional<Summary> ParseName(const std::string& name) {
  constexpr size_t kDigits = 40;
  if (name.size() != kDigits + std::strlen(".summary") || !name.ends_with(".summary") ||
      std::strspn(name.c_str(), "0123456789ABCDEF") != kDigits) {
    return std::nullopt;
  }
  std::array<unsigned, 5> part{};
  if (std::sscanf(name.c_str(), "%08X%08X%08X%08X%08X", &part[0], &part[1], &part[2], &part[3],
                  &part[4]) != 5) {
    return std::nullopt;
  }
  return Summary{part[0], uint64_t{part[1]} << 32 | part[2], uint64_t{part[3]} << 32 | part[4],
                 JoinPath(kDirectory, name)};
}

std::vector<Summary> ListSummaries() {
  std::vector<Summary> summaries;
  const auto names = ReadDirectory(kDirectory);
  if (!names) return summaries;
  for (const DirectoryEntry& name : *names) {
    if (auto summary = ParseName(name.name)) summaries.push_back(*std::move(summary));
  }
  // Names sort by timeline, then by start.
  return summaries;
}

// Those that touch the span; nothing when they leave a gap.
std::optional<std::vector<Summary>> CoverSpan(const std::vector<Summary>& all, uint32_t timeline,
                                              uint64_t begin_lsn, uint64_t end_lsn) {
  std::vector<Summary> covering;
  uint64_t covered_to = begin_lsn;
  for (const Summary& summary : all) {
    if (summary.timeline != timeline || summary.end_lsn <= begin_lsn ||
        summary.begin_lsn >= end_lsn) {
      continue;
    }
    if (summary.begin_lsn > covered_to) return std::nullopt;
    covered_to = std::max(covered_to, summary.end_lsn);
    covering.push_back(summary);
  }
  if (covered_to < end_lsn) return std::nullopt;
  return covering;
}

// The callbacks run inside of PostgreSQL: they own nothing.
int ReadPart(void* argument, void* data, int length) {
  const int fd = *static_cast<int*>(argument);
  const ssize_t count = read(fd, data, static_cast<size_t>(length));
  if (count < 0)
    ereport(ERROR, (errcode_for_file_access(), errmsg("could not read WAL summary: %m")));
  return static_cast<int>(count);
}

void ReportBadSummary(void* /*argument*/, char* format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  pg_vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg_internal("%s", text)));
}

void AddSummary(const Summary& summary, ChangedBlocks* changes) {
  const FileDescriptor file = OpenFile(summary.path, O_RDONLY);
  int fd = file.get();
  char* const path = const_cast<char*>(summary.path.c_str());
  BlockRefTableReader* reader = nullptr;
  CallPostgres(
      [&] { reader = CreateBlockRefTableReader(ReadPart, &fd, path, ReportBadSummary, nullptr); });
  std::array<BlockNumber, 4096> blocks;
  while (true) {
    RelFileLocator locator;
    ForkNumber fork = MAIN_FORKNUM;
    BlockNumber limit = InvalidBlockNumber;
    bool is_there = false;
    CallPostgres(
        [&] { is_there = BlockRefTableReaderNextRelation(reader, &locator, &fork, &limit); });
    if (!is_there) break;
    const RelationFork relation{locator.spcOid, locator.dbOid, locator.relNumber,
                                static_cast<uint32_t>(fork)};
    // Of other forks nobody asks: their changes are not reliably in the WAL.
    const bool is_wanted = fork == MAIN_FORKNUM;
    if (is_wanted) changes->Limit(relation, limit);
    unsigned count = 0;
    do {
      CallPostgres([&] {
        count =
            BlockRefTableReaderGetBlocks(reader, blocks.data(), static_cast<int>(blocks.size()));
      });
      if (is_wanted) changes->Add(relation, std::span(blocks).first(count));
    } while (count > 0);
  }
  CallPostgres([&] { DestroyBlockRefTableReader(reader); });
}

bool IsSummarizing() {
  bool is_on = false;
  CallPostgres([&] { is_on = summarize_wal; });
  return is_on;
}

// Not WaitForWalSummarization(): that waits as long as there is any progress, in backup mode and
// with the slot standing still. Behind a long backlog files are read sooner than it is done.
bool WaitUntilSummarized(uint64_t to_lsn, const std::function<void()>& pause_point) {
  // The checkpoint woke the summarizer before its WAL was flushed: left alone it may sleep on, on
  // an idle server for up to 30 s. Source: src/backend/postmaster/walsummarizer.c.
  CallPostgres([] { WakeSummarizer(); });
  const Microseconds end = MonotonicNow() + kLongestWait;
  for (int waited = 0;; ++waited) {
    TimeLineID timeline = 0;
    XLogRecPtr summarized = InvalidXLogRecPtr, pending = InvalidXLogRecPtr;
    int pid = 0;
    CallPostgres([&] { GetWalSummarizerState(&timeline, &summarized, &pending, &pid); });
    if (summarized >= to_lsn) return true;
    if (MonotonicNow() >= end || !IsSummarizing()) return false;
    pause_point();
    CallPostgres([&] {
      (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                      waited < kQuickLooks ? kQuickLookMs : kLookMs, PG_WAIT_EXTENSION);
      ResetLatch(MyLatch);
    });
  }
}

}  // namespace

std::optional<ChangedBlocks> ReadWalSummaries(const std::vector<TimelineSpan>& history,
                                              uint64_t from_lsn, uint64_t to_lsn,
                                              const std::function<void()>& pause_point,
                                              std::string* reason) {
  if (!IsSummarizing()) {
    *reason = "summarize_wal is off";
    return std::nullopt;
  }
  try {
    if (!WaitUntilSummarized(to_lsn, pause_point)) {
      *reason = "they are far behind";
      return std::nullopt;
    }
    const std::vector<Summary> all = ListSummaries();
    ChangedBlocks changes;
    for (const TimelineSpan& span : history) {
      const uint64_t begin = std::max(span.begin_lsn, from_lsn);
      const uint64_t end = std::min(span.end_lsn, to_lsn);
      if (begin >= end) continue;
      const auto covering = CoverSpan(all, span.timeline, begin, end);
      if (!covering) {
        *reason = fmt::format("they do not cover all WAL of timeline {}", span.timeline);
        return std::nullopt;
      }
      for (const Summary& summary : *covering) {
        pause_point();
        AddSummary(summary, &changes);
      }
    }
    changes.Seal();
    return changes;
  } catch (const Error& error) {
    // Files can be read in their place.
    if (error.is_cancel()) throw;
    *reason = error.message();
    return std::nullopt;
  }
}

#endif

}  // namespace backup_ext
