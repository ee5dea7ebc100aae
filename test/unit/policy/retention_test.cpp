// Retention: a test a rule, and random histories judged by a slow, obvious reference.
#include "policy/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

namespace backup_ext {
namespace {

constexpr Microseconds kHour = 3600 * kMicrosecondsPerSecond;
constexpr Microseconds kDay = 24 * kHour;
constexpr Microseconds kNow = 20000 * kDay;
constexpr RetentionRules kThreeDays = {.retention = 3 * kDay, .keep = 1};

// A good backup of the schedule that ended `age` ago.
RetentionBackup Aged(Microseconds age) {
  RetentionBackup backup;
  backup.backup_id = std::to_string(age / kHour) + "h";
  backup.started_at = kNow - age - kHour;
  backup.finished_at = kNow - age;
  backup.scheduled = true;
  backup.good = true;
  return backup;
}
RetentionBackup Manual(RetentionBackup backup) {
  backup.scheduled = false;
  return backup;
}
RetentionBackup Damaged(RetentionBackup backup) {
  backup.good = false;
  return backup;
}
RetentionBackup Pinned(RetentionBackup backup, PinState pin, Microseconds until = 0) {
  backup.pin = pin;
  backup.pinned_until = until;
  return backup;
}

std::vector<std::string> Removed(const std::vector<RetentionBackup>& backups,
                                 const RetentionRules& rules = kThreeDays,
                                 Microseconds now = kNow) {
  const std::vector<RetentionDecision> decisions = DecideRetention(backups, rules, now);
  EXPECT_EQ(decisions.size(), backups.size());
  std::vector<std::string> removed;
  for (size_t i = 0; i < backups.size(); ++i) {
    EXPECT_NE(decisions[i].because, "");
    if (!decisions[i].keep) removed.push_back(backups[i].backup_id);
  }
  return removed;
}

RetentionDecision DecisionOf(size_t place, const std::vector<RetentionBackup>& backups,
                             const RetentionRules& rules = kThreeDays) {
  return DecideRetention(backups, rules, kNow)[place];
}

TEST(Retention, RemovesWhatIsOlderThanTheInterval) {
  const std::vector<RetentionBackup> backups = {Aged(0), Aged(2 * kDay), Aged(3 * kDay),
                                                Aged(3 * kDay + 1), Aged(9 * kDay)};
  EXPECT_THAT(Removed(backups), testing::SizeIs(2));
  EXPECT_TRUE(DecisionOf(2, backups).keep);
  EXPECT_FALSE(DecisionOf(3, backups).keep);
  EXPECT_EQ(DecisionOf(3, backups).because,
            "it is more than 3 days older than the newest good backup");
  EXPECT_EQ(DecisionOf(1, backups).because, "it is not 3 days older than the newest good backup");
  EXPECT_EQ(DecisionOf(1, backups).expires_at, kNow + kDay);
}

TEST(Retention, DaysWithoutABackupRemoveNothing) {
  EXPECT_THAT(Removed({Aged(30 * kDay), Aged(31 * kDay), Aged(33 * kDay)}), testing::IsEmpty());
}

TEST(Retention, KeepsTheNewestGoodOneForEver) {
  const std::vector<RetentionBackup> backups = {Damaged(Aged(0)), Aged(400 * kDay)};
  EXPECT_THAT(Removed(backups), testing::IsEmpty());
  EXPECT_TRUE(DecisionOf(1, backups).is_newest_good);
  EXPECT_FALSE(DecisionOf(1, backups).expires_at);
}

TEST(Retention, KeepsAsManyGoodOnesAsItIsTold) {
  const std::vector<RetentionBackup> backups = {Aged(0), Damaged(Aged(kDay)), Aged(20 * kDay),
                                                Aged(40 * kDay), Aged(60 * kDay)};
  EXPECT_THAT(Removed(backups, {3 * kDay, 3}), testing::ElementsAre("1440h"));
  const RetentionDecision decision = DecisionOf(3, backups, {3 * kDay, 3});
  EXPECT_EQ(decision.because, "it is one of the newest 3 good backups");
  EXPECT_FALSE(decision.expires_at);
}

TEST(Retention, BackupsTakenByHandPushNoneOfTheScheduleOut) {
  const std::vector<RetentionBackup> backups = {Manual(Aged(0)),         Manual(Aged(kHour)),
                                                Manual(Aged(2 * kHour)), Aged(10 * kDay),
                                                Aged(11 * kDay),         Aged(12 * kDay)};
  EXPECT_THAT(Removed(backups, {3 * kDay, 2}), testing::ElementsAre("288h"));
  EXPECT_EQ(DecisionOf(4, backups, {3 * kDay, 2}).because,
            "it is one of the newest 2 good backups of the schedule");
}

TEST(Retention, CountsBackupsTakenByHandWhereThereAreNoOthers) {
  EXPECT_THAT(
      Removed({Manual(Aged(0)), Manual(Aged(10 * kDay)), Manual(Aged(20 * kDay))}, {3 * kDay, 2}),
      testing::ElementsAre("480h"));
}

TEST(Retention, DamagedOnesGoByTheirAge) {
  const std::vector<RetentionBackup> backups = {Aged(0), Damaged(Aged(kDay)),
                                                Damaged(Aged(4 * kDay))};
  EXPECT_THAT(Removed(backups, {3 * kDay, 5}), testing::ElementsAre("96h"));
  EXPECT_EQ(DecisionOf(2, backups).because,
            "it is damaged and more than 3 days older than the newest good backup");
}

TEST(Retention, RemovesNothingWhileNothingIsGood) {
  EXPECT_THAT(Removed({Damaged(Aged(0)), Damaged(Aged(50 * kDay))}), testing::IsEmpty());
  EXPECT_THAT(Removed({}), testing::IsEmpty());
}

TEST(Retention, APinKeepsItsBackupAndNoOther) {
  const std::vector<RetentionBackup> backups = {
      Aged(0), Pinned(Aged(10 * kDay), PinState::kForEver), Aged(20 * kDay),
      Pinned(Aged(30 * kDay), PinState::kUntil, kNow + 1),
      Pinned(Aged(40 * kDay), PinState::kUnreadable)};
  EXPECT_THAT(Removed(backups), testing::ElementsAre("480h"));
  EXPECT_EQ(DecisionOf(1, backups).because, "it is pinned");
  EXPECT_FALSE(DecisionOf(1, backups).expires_at);
  EXPECT_EQ(DecisionOf(3, backups).expires_at, kNow + 1);
  EXPECT_EQ(DecisionOf(4, backups).because, "its pin cannot be read");
}

TEST(Retention, APinThatEndedKeepsNothing) {
  EXPECT_THAT(Removed({Aged(0), Pinned(Aged(10 * kDay), PinState::kUntil, kNow)}),
              testing::ElementsAre("240h"));
}

TEST(Retention, ABackupOfTheFutureIsNoMeasure) {
  const std::vector<RetentionBackup> backups = {Aged(-400 * kDay), Aged(kDay), Aged(2 * kDay)};
  EXPECT_THAT(Removed(backups), testing::IsEmpty());
  EXPECT_TRUE(DecisionOf(1, backups).is_newest_good);
  EXPECT_EQ(DecisionOf(0, backups).because, "its time lies in the future");
  // Nor does it fill a place among the newest.
  EXPECT_THAT(Removed({Aged(-400 * kDay), Aged(kDay), Aged(20 * kDay)}, {3 * kDay, 2}),
              testing::IsEmpty());
}

TEST(Retention, AClockThatWentBackRemovesNothing) {
  EXPECT_THAT(Removed({Aged(0), Aged(10 * kDay)}, kThreeDays, kNow - 5000 * kDay),
              testing::IsEmpty());
}

TEST(Retention, TheOrderGivenMeansNothing) {
  EXPECT_THAT(Removed({Aged(9 * kDay), Aged(0), Aged(kDay)}), testing::ElementsAre("216h"));
}

TEST(Retention, TheNewestGoodOneIsTheOneNotToBeDropped) {
  const std::vector<RetentionBackup> future = {Aged(-400 * kDay), Aged(kDay), Damaged(Aged(0))};
  EXPECT_EQ(NewestGoodBackup(future, kNow), 1U);
  const std::vector<RetentionBackup> only_future = {Aged(-400 * kDay), Damaged(Aged(0))};
  EXPECT_EQ(NewestGoodBackup(only_future, kNow), 0U);
  const std::vector<RetentionBackup> damaged = {Damaged(Aged(kDay)), Damaged(Aged(0))};
  EXPECT_EQ(NewestGoodBackup(damaged, kNow), 1U);
  EXPECT_FALSE(NewestGoodBackup({}, kNow));
}

// Written from doc/reference.md, one backup after the other, with no thought of speed.
bool ReferenceKeeps(const RetentionBackup& backup, const std::vector<RetentionBackup>& all,
                    const RetentionRules& rules, Microseconds now) {
  const auto counts = [&](const RetentionBackup& b) {
    return b.good && b.finished_at <= now + 4 * kHour;
  };
  if (backup.pin == PinState::kForEver || backup.pin == PinState::kUnreadable) return true;
  if (backup.pin == PinState::kUntil && backup.pinned_until > now) return true;
  Microseconds newest = std::numeric_limits<Microseconds>::min();
  int newer = 0, newer_of_schedule = 0;
  for (const RetentionBackup& other : all) {
    if (!counts(other)) continue;
    newest = std::max(newest, other.finished_at);
    if (other.finished_at > backup.finished_at) {
      ++newer;
      if (other.scheduled) ++newer_of_schedule;
    }
  }
  if (newest == std::numeric_limits<Microseconds>::min()) return true;
  if (counts(backup) && newer < rules.keep) return true;
  if (counts(backup) && backup.scheduled && newer_of_schedule < rules.keep) return true;
  return newest - backup.finished_at <= rules.retention;
}

TEST(Retention, AgreesWithASlowReference) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const auto below = [&](int64_t limit) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(limit));
  };
  size_t removed = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<RetentionBackup> backups;
    const int64_t count = below(12);
    for (int64_t i = 0; i < count; ++i) {
      // No two end in the same microsecond: the reference knows no order among equals.
      const Microseconds age = (below(20) - 3) * kDay / 2 + i;
      RetentionBackup backup = Aged(below(20) == 0 ? -age * 100 : age);
      backup.backup_id = std::to_string(i);
      backup.scheduled = below(2) == 0;
      backup.good = below(4) != 0;
      backup.pin = static_cast<PinState>(std::max<int64_t>(0, below(8) - 4));
      backup.pinned_until = kNow + (below(3) - 1) * kDay;
      backups.push_back(backup);
    }
    const RetentionRules rules = {1 + below(6) * kDay, static_cast<int>(1 + below(4))};
    const Microseconds now = kNow + (below(10) == 0 ? (below(400) - 200) * kDay : 0);
    const std::vector<RetentionDecision> decisions = DecideRetention(backups, rules, now);
    bool any_good = false, good_kept = false;
    for (size_t i = 0; i < backups.size(); ++i) {
      ASSERT_EQ(decisions[i].keep, ReferenceKeeps(backups[i], backups, rules, now))
          << "round " << round << ", backup " << i << ": " << decisions[i].because;
      any_good = any_good || backups[i].good;
      good_kept = good_kept || (backups[i].good && decisions[i].keep);
      if (!decisions[i].keep) ++removed;
    }
    ASSERT_EQ(any_good, good_kept) << "round " << round;
  }
  EXPECT_GT(removed, 1000U);
}

TEST(Retention, TimesAtTheEndsOfTimeOverflowNothing) {
  RetentionBackup last = Aged(0), first = Aged(0);
  last.finished_at = std::numeric_limits<Microseconds>::max();
  first.finished_at = std::numeric_limits<Microseconds>::min();
  const std::vector<RetentionBackup> backups = {last, Aged(0), first};
  EXPECT_THAT(Removed(backups), testing::ElementsAre("0h"));
  EXPECT_FALSE(DecisionOf(2, backups).keep);
}

}  // namespace
}  // namespace backup_ext
