// Whether another server than this one's own pair writes to the repository: a pure decision on
// plain values.
//
// Two servers that were started from one copied data directory have the same system identifier. In
// a replicated pair only one of them is the primary of a timeline, so a second primary of the same
// timeline, or a primary of a timeline that this server did not come along, is no partner of it.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "policy/parent_choice.h"

namespace backup_ext {

// A backup in the repository, and who took it.
struct TakenBackup {
  std::string backup_id;
  Microseconds started_at = 0;
  bool from_standby = false;
  uint32_t stop_timeline = 0;
  uint64_t stop_lsn = 0;
  std::string host;
  std::string data_directory;
};

struct ThisServer {
  bool in_recovery = false;
  std::vector<TimelineSpan> history;  // oldest first, the current timeline last
  std::string host;
  std::string data_directory;
  // Those taken from this data directory; empty when it remembers none: it was restored, copied or
  // moved.
  std::set<std::string> remembered;
};

// Newest first. Null when the backups of the repository fit to this server and its pair. Else one
// that does not and that was begun after the newest one of this server's own.
[[nodiscard]] const TakenBackup* BackupOfOtherServer(std::span<const TakenBackup> backups,
                                                     const ThisServer& server);

// Null, or the newest backup of a primary beside which this one cannot run: were its server at work
// now, this one would be a copy of it. Only where this server remembers no backup of its own.
[[nodiscard]] const TakenBackup* BackupOfPossibleOriginal(std::span<const TakenBackup> backups,
                                                          const ThisServer& server);

}  // namespace backup_ext
