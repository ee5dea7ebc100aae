// Which backups are kept, and why.
#include "policy/retention.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>
#include <tuple>

#include "policy/duration.h"
#include "policy/schedule.h"

namespace backup_ext {
namespace {

// Of times that may be anything: a record can hold what a wrong clock said.
Microseconds SaturatingAdd(Microseconds a, Microseconds b) {
  Microseconds sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a > 0 ? std::numeric_limits<Microseconds>::max()
               : std::numeric_limits<Microseconds>::min();
}

// Made while the clock was wrong, or the clock is wrong now: such a backup is no measure for the
// others. (Were it the newest one, all others would be too old at once.)
bool IsInFuture(const RetentionBackup& backup, Microseconds now) {
  return backup.finished_at > SaturatingAdd(now, kBelievedFuture);
}

// Places in `backups`, newest first, of those that `wanted` accepts.
template <typename Wanted>
std::vector<size_t> NewestFirst(std::span<const RetentionBackup> backups, Wanted wanted) {
  std::vector<size_t> places;
  for (size_t i = 0; i < backups.size(); ++i) {
    if (wanted(backups[i])) places.push_back(i);
  }
  std::ranges::sort(places, [&](size_t a, size_t b) {
    return std::tie(backups[a].finished_at, backups[a].started_at, backups[a].backup_id) >
           std::tie(backups[b].finished_at, backups[b].started_at, backups[b].backup_id);
  });
  return places;
}

std::set<size_t> First(const std::vector<size_t>& places, int count) {
  const size_t wanted = std::min(places.size(), static_cast<size_t>(std::max(1, count)));
  return {places.begin(), places.begin() + static_cast<ptrdiff_t>(wanted)};
}

class Retention {
 public:
  Retention(std::span<const RetentionBackup> backups, const RetentionRules& rules, Microseconds now)
      : backups_(backups), rules_(rules), now_(now) {
    const std::vector<size_t> good = NewestFirst(backups, [now](const RetentionBackup& backup) {
      return backup.good && !IsInFuture(backup, now);
    });
    if (good.empty()) return;
    newest_ = good.front();
    kept_by_count_ = First(good, rules.keep);
    kept_of_schedule_ =
        First(NewestFirst(backups,
                          [now](const RetentionBackup& backup) {
                            return backup.good && backup.scheduled && !IsInFuture(backup, now);
                          }),
              rules.keep);
  }

  // The reason that holds longest comes first: it is the one to show.
  [[nodiscard]] RetentionDecision Decide(size_t place) const {
    const RetentionBackup& backup = backups_[place];
    if (place == newest_) {
      RetentionDecision decision = Keep("it is the newest good backup");
      decision.is_newest_good = true;
      return decision;
    }
    if (backup.pin == PinState::kForEver) return Keep("it is pinned");
    if (backup.pin == PinState::kUnreadable) return Keep("its pin cannot be read");
    if (kept_by_count_.contains(place)) {
      return Keep(fmt::format("it is one of the newest {} good backups", rules_.keep));
    }
    if (kept_of_schedule_.contains(place)) {
      return Keep(rules_.keep == 1
                      ? "it is the newest good backup of the schedule"
                      : fmt::format("it is one of the newest {} good backups of the schedule",
                                    rules_.keep));
    }
    return DecideByTime(backup);
  }

 private:
  static RetentionDecision Keep(std::string because,
                                std::optional<Microseconds> expires_at = std::nullopt) {
    return {.keep = true, .because = std::move(because), .expires_at = expires_at};
  }

  [[nodiscard]] RetentionDecision DecideByTime(const RetentionBackup& backup) const {
    const Microseconds too_old_at = SaturatingAdd(backup.finished_at, rules_.retention);
    const bool is_pinned = backup.pin == PinState::kUntil && backup.pinned_until > now_;
    if (is_pinned) {
      return Keep(fmt::format("it is pinned until {}", FormatTime(backup.pinned_until)),
                  std::max(too_old_at, backup.pinned_until));
    }
    if (!newest_) return Keep("there is no good backup to count from", too_old_at);
    if (IsInFuture(backup, now_)) return Keep("its time lies in the future", too_old_at);
    const std::string retention = FormatDuration(rules_.retention);
    if (backups_[*newest_].finished_at <= too_old_at) {
      return Keep(fmt::format("it is not {} older than the newest good backup", retention),
                  too_old_at);
    }
    return {.keep = false,
            .because = fmt::format("{} more than {} older than the newest good backup",
                                   backup.good ? "it is" : "it is damaged and", retention),
            .expires_at = too_old_at};
  }

  std::span<const RetentionBackup> backups_;
  const RetentionRules& rules_;
  Microseconds now_;
  std::optional<size_t> newest_;
  std::set<size_t> kept_by_count_, kept_of_schedule_;
};

}  // namespace

std::vector<RetentionDecision> DecideRetention(std::span<const RetentionBackup> backups,
                                               const RetentionRules& rules, Microseconds now) {
  const Retention retention(backups, rules, now);
  std::vector<RetentionDecision> decisions;
  for (size_t i = 0; i < backups.size(); ++i) decisions.push_back(retention.Decide(i));
  return decisions;
}

std::optional<size_t> NewestGoodBackup(std::span<const RetentionBackup> backups, Microseconds now) {
  const auto believed_good = [now](const RetentionBackup& backup) {
    return backup.good && !IsInFuture(backup, now);
  };
  const auto good = [](const RetentionBackup& backup) { return backup.good; };
  std::vector<size_t> places = NewestFirst(backups, believed_good);
  if (places.empty()) places = NewestFirst(backups, good);
  if (places.empty()) places = NewestFirst(backups, [](const RetentionBackup&) { return true; });
  return places.empty() ? std::nullopt : std::optional(places.front());
}

}  // namespace backup_ext
