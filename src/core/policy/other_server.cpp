// Whether another server than this one's own pair writes to the repository.
#include "policy/other_server.h"

#include <algorithm>

namespace backup_ext {
namespace {

bool IsOwn(const TakenBackup& backup, const ThisServer& server) {
  // By place as well: the memory may have been lost, or went back with the data directory.
  return server.remembered.contains(backup.backup_id) ||
         (backup.host == server.host && backup.data_directory == server.data_directory);
}

// Of a timeline that this cluster left when one of its servers was promoted. The end of that
// timeline does not count: the primary that is gone may have written more than was replicated.
bool IsOfEarlierTimeline(const TakenBackup& backup, const ThisServer& server) {
  return std::ranges::any_of(server.history, [&](const TimelineSpan& span) {
    return &span != &server.history.back() && span.timeline == backup.stop_timeline;
  });
}

bool IsOnWayOf(const TakenBackup& backup, const ThisServer& server) {
  return std::ranges::any_of(server.history, [&](const TimelineSpan& span) {
    return &span != &server.history.back() && span.timeline == backup.stop_timeline &&
           backup.stop_lsn <= span.end_lsn;
  });
}

bool IsOfAnotherPrimary(const TakenBackup& backup, const ThisServer& server) {
  return !backup.from_standby && !IsOwn(backup, server);
}

// A primary took it that is not, and was not, the one of this server's pair.
bool IsOfStranger(const TakenBackup& backup, const ThisServer& server) {
  if (server.history.empty() || !IsOfAnotherPrimary(backup, server) ||
      IsOfEarlierTimeline(backup, server)) {
    return false;
  }
  // A standby's primary is on its timeline, or ahead on a newer one.
  const uint32_t current = server.history.back().timeline;
  return !server.in_recovery || backup.stop_timeline < current;
}

}  // namespace

const TakenBackup* BackupOfOtherServer(std::span<const TakenBackup> backups,
                                       const ThisServer& server) {
  Microseconds newest_own = 0;
  for (const TakenBackup& backup : backups) {
    if (server.remembered.contains(backup.backup_id)) {
      newest_own = std::max(newest_own, backup.started_at);
    }
  }
  if (newest_own == 0) return nullptr;
  for (const TakenBackup& backup : backups) {
    if (backup.started_at > newest_own && IsOfStranger(backup, server)) return &backup;
  }
  return nullptr;
}

const TakenBackup* BackupOfPossibleOriginal(std::span<const TakenBackup> backups,
                                            const ThisServer& server) {
  if (server.in_recovery) return nullptr;
  const bool has_own = std::ranges::any_of(backups, [&](const TakenBackup& backup) {
    return server.remembered.contains(backup.backup_id);
  });
  if (has_own) return nullptr;
  for (const TakenBackup& backup : backups) {
    if (IsOfAnotherPrimary(backup, server) && !IsOnWayOf(backup, server)) return &backup;
  }
  return nullptr;
}

}  // namespace backup_ext
