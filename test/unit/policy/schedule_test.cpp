// When an automatic backup begins, and what it says when it does not.
#include "policy/schedule.h"

#include <gtest/gtest.h>

#include <climits>
#include <span>
#include <string_view>
#include <vector>

namespace backup_ext {
namespace {

constexpr Microseconds kSecond = kMicrosecondsPerSecond;
constexpr Microseconds kMinute = 60 * kSecond;
constexpr Microseconds kHour = 60 * kMinute;
constexpr Microseconds kDay = 24 * kHour;
constexpr Microseconds kNow = 1'795'430'000 * kSecond;

// Nothing stands in the way, and no backup was ever made.
ScheduleState Ready() {
  ScheduleState state;
  state.enabled = true;
  state.repository_set = true;
  state.window_open = true;
  state.now = kNow;
  return state;
}

struct Row {
  std::string_view name;
  void (*change)(ScheduleState*);
  bool run;
  std::string_view because;
};

void ExpectDecisions(std::span<const Row> rows) {
  for (const Row& row : rows) {
    ScheduleState state = Ready();
    row.change(&state);
    const ScheduleDecision decision = DecideAutomaticBackup(state);
    EXPECT_EQ(decision.run, row.run) << row.name;
    EXPECT_EQ(decision.because, row.because) << row.name;
  }
}

TEST(Schedule, ObstaclesStopARunThatIsDue) {
  const Row rows[] = {
      {"none", [](ScheduleState*) {}, true, "there is no good backup yet"},
      {"disabled", [](ScheduleState* s) { s->enabled = false; }, false,
       "automatic backups are switched off (backup_ext.enabled)"},
      {"no repository", [](ScheduleState* s) { s->repository_set = false; }, false,
       "backup_ext.repository is not set"},
      {"standby", [](ScheduleState* s) { s->in_recovery = true; }, false,
       "the server is in recovery"},
      {"running", [](ScheduleState* s) { s->backup_running = true; }, false, "a backup is running"},
      {"closed", [](ScheduleState* s) { s->window_open = false; }, false, "the window is closed"},
      {"all at once", [](ScheduleState* s) { *s = ScheduleState{}; }, false,
       "automatic backups are switched off (backup_ext.enabled)"},
  };
  ExpectDecisions(rows);
}

TEST(Schedule, IsDueTwentyHoursAfterTheLastGoodBackupBegan) {
  const Row rows[] = {
      {"just begun", [](ScheduleState* s) { s->last_success = kNow; }, false,
       "the last good backup began 0 s ago"},
      {"seconds", [](ScheduleState* s) { s->last_success = kNow - 59 * kSecond; }, false,
       "the last good backup began 59 s ago"},
      {"minutes", [](ScheduleState* s) { s->last_success = kNow - 59 * kMinute; }, false,
       "the last good backup began 59 min ago"},
      {"a little too early", [](ScheduleState* s) { s->last_success = kNow - kBackupDueAfter + 1; },
       false, "the last good backup began 19 h 59 min ago"},
      {"on time", [](ScheduleState* s) { s->last_success = kNow - kBackupDueAfter; }, true,
       "the last good backup began 20 h 0 min ago"},
      {"next night", [](ScheduleState* s) { s->last_success = kNow - kDay; }, true,
       "the last good backup began 24 h 0 min ago"},
      {"long ago", [](ScheduleState* s) { s->last_success = kNow - 9 * kDay - 5 * kHour; }, true,
       "the last good backup began 9 d 5 h ago"},
      {"1970", [](ScheduleState* s) { s->last_success = 1; }, true,
       "the last good backup began 20780 d 10 h ago"},
  };
  ExpectDecisions(rows);
}

TEST(Schedule, ClockThatWentBackNeverStopsItForLongerThanADay) {
  const Row rows[] = {
      {"a second", [](ScheduleState* s) { s->last_success = kNow + kSecond; }, false,
       "the last good backup began 1 s in the future: the clock went back"},
      {"four hours", [](ScheduleState* s) { s->last_success = kNow + 4 * kHour; }, false,
       "the last good backup began 4 h 0 min in the future: the clock went back"},
      {"more", [](ScheduleState* s) { s->last_success = kNow + 4 * kHour + 1; }, true,
       "the last good backup began 4 h 0 min in the future: the clock went back"},
      {"a year", [](ScheduleState* s) { s->last_success = kNow + 365 * kDay; }, true,
       "the last good backup began 365 d 0 h in the future: the clock went back"},
      {"the end of time", [](ScheduleState* s) { s->last_success = INT64_MAX; }, true,
       "the last good backup began 106731210 d 17 h in the future: the clock went back"},
  };
  ExpectDecisions(rows);

  for (Microseconds ahead = 0; ahead < 3 * kDay; ahead += 7 * kMinute) {
    ScheduleState state = Ready();
    state.last_success = kNow + ahead;
    Microseconds waited = 0;
    while (!DecideAutomaticBackup(state).run) {
      state.now += kMinute;
      waited += kMinute;
      ASSERT_LE(waited, kDay) << "success " << ahead / kMinute << " min ahead";
    }
  }
}

TEST(Schedule, CrashOfTheServerPausesLikeAFailure) {
  const Row rows[] = {
      {"at once",
       [](ScheduleState* s) {
         s->last_crash = kNow - kSecond;
         s->crashes = 1;
       },
       false, "the server crashed, next try in 59 s"},
      {"the pause is over",
       [](ScheduleState* s) {
         s->last_crash = kNow - kMinute;
         s->crashes = 1;
       },
       true, "there is no good backup yet"},
      {"again and again",
       [](ScheduleState* s) {
         s->last_crash = kNow - 29 * kMinute;
         s->crashes = 1000;
       },
       false, "the server crashed, next try in 1 min"},
      {"after an older failure",
       [](ScheduleState* s) {
         s->last_failure = kNow - kHour;
         s->failures_in_a_row = 1;
         s->last_crash = kNow - kMinute;
         s->crashes = 2;
       },
       false, "the server crashed, next try in 1 min"},
      {"a fresh success is not made due by it",
       [](ScheduleState* s) {
         s->last_crash = kNow - kHour;
         s->crashes = 1;
         s->last_success = kNow - 2 * kHour;
       },
       false, "the last good backup began 2 h 0 min ago"},
  };
  ExpectDecisions(rows);
}

TEST(Schedule, FailedRunIsTriedAgainAfterThePause) {
  const Row rows[] = {
      {"at once",
       [](ScheduleState* s) {
         s->last_failure = kNow;
         s->failures_in_a_row = 1;
       },
       false, "the last run failed, next try in 1 min"},
      {"too early",
       [](ScheduleState* s) {
         s->last_failure = kNow - kMinute + 1;
         s->failures_in_a_row = 1;
       },
       false, "the last run failed, next try in 0 s"},
      {"one failure",
       [](ScheduleState* s) {
         s->last_failure = kNow - kMinute;
         s->failures_in_a_row = 1;
       },
       true, "there is no good backup yet"},
      {"two failures",
       [](ScheduleState* s) {
         s->last_failure = kNow - kMinute;
         s->failures_in_a_row = 2;
       },
       false, "the last run failed, next try in 1 min"},
      {"many failures",
       [](ScheduleState* s) {
         s->last_failure = kNow - 29 * kMinute;
         s->failures_in_a_row = 1000;
       },
       false, "the last run failed, next try in 1 min"},
      {"longest pause is over",
       [](ScheduleState* s) {
         s->last_failure = kNow - 30 * kMinute;
         s->failures_in_a_row = 1000;
         s->last_success = kNow - 3 * kDay;
       },
       true, "the last good backup began 3 d 0 h ago"},
      {"an old failure before a success does not matter",
       [](ScheduleState* s) {
         s->last_failure = kNow - kSecond;
         s->failures_in_a_row = 0;
         s->last_success = kNow - kDay;
       },
       true, "the last good backup began 24 h 0 min ago"},
      {"a failure does not make a fresh success due",
       [](ScheduleState* s) {
         s->last_failure = kNow - kHour;
         s->failures_in_a_row = 3;
         s->last_success = kNow - 2 * kHour;
       },
       false, "the last good backup began 2 h 0 min ago"},
      {"failure a little in the future",
       [](ScheduleState* s) {
         s->last_failure = kNow + 30 * kSecond;
         s->failures_in_a_row = 1;
       },
       false, "the last run failed, next try in 1 min"},
      {"failure far in the future is not believed",
       [](ScheduleState* s) {
         s->last_failure = kNow + kDay;
         s->failures_in_a_row = 9;
       },
       true, "there is no good backup yet"},
      {"no failure",
       [](ScheduleState* s) {
         s->last_failure = 0;
         s->failures_in_a_row = 9;
       },
       true, "there is no good backup yet"},
  };
  ExpectDecisions(rows);
}

TEST(Schedule, CancelledRunIsLeftAloneUntilTheWindowOpensAgain) {
  constexpr std::string_view kHeld =
      "the last run was cancelled, next try when the window opens again";
  const Row rows[] = {
      {"at once",
       [](ScheduleState* s) {
         s->window_opened_at = kNow - kHour;
         s->last_cancel = kNow;
       },
       false, kHeld},
      {"as it opened",
       [](ScheduleState* s) {
         s->window_opened_at = kNow - kHour;
         s->last_cancel = kNow - kHour;
       },
       false, kHeld},
      {"after days without a good backup",
       [](ScheduleState* s) {
         s->window_opened_at = kNow - kHour;
         s->last_cancel = kNow - kMinute;
         s->last_success = kNow - 3 * kDay;
       },
       false, kHeld},
      {"in the window before",
       [](ScheduleState* s) {
         s->window_opened_at = kNow - kHour;
         s->last_cancel = kNow - kHour - 1;
       },
       true, "there is no good backup yet"},
      {"never", [](ScheduleState* s) { s->window_opened_at = 0; }, true,
       "there is no good backup yet"},
      {"a fresh success is the better reason",
       [](ScheduleState* s) {
         s->last_cancel = kNow - kMinute;
         s->last_success = kNow - kHour;
       },
       false, "the last good backup began 1 h 0 min ago"},
      {"a little in the future",
       [](ScheduleState* s) {
         s->window_opened_at = kNow - kHour;
         s->last_cancel = kNow + kHour;
       },
       false, kHeld},
      {"far in the future is not believed",
       [](ScheduleState* s) {
         s->window_opened_at = kNow - kHour;
         s->last_cancel = kNow + kDay;
       },
       true, "there is no good backup yet"},
  };
  ExpectDecisions(rows);
}

TEST(Schedule, PauseDoublesUpToHalfAnHour) {
  const int minutes[] = {0, 1, 2, 4, 8, 16, 30, 30, 30};
  for (int failures = 0; failures < 9; ++failures) {
    EXPECT_EQ(RetryPause(failures), minutes[failures] * kMinute) << failures;
  }
  EXPECT_EQ(RetryPause(INT_MAX), 30 * kMinute);
  EXPECT_EQ(RetryPause(-1), 0);
  EXPECT_EQ(RetryPause(INT_MIN), 0);
}

TEST(Schedule, NewestSuccessIsTheLatestThatIsBelieved) {
  using Starts = std::vector<Microseconds>;
  EXPECT_EQ(NewestSuccess({}, kNow), 0);
  EXPECT_EQ(NewestSuccess(Starts{kNow - kDay, kNow - kHour, kNow - 2 * kDay}, kNow), kNow - kHour);
  EXPECT_EQ(NewestSuccess(Starts{kNow + 4 * kHour, kNow}, kNow), kNow + 4 * kHour);
  EXPECT_EQ(NewestSuccess(Starts{kNow + 4 * kHour + 1, kNow - kDay}, kNow), kNow - kDay);
  EXPECT_EQ(NewestSuccess(Starts{kNow + 365 * kDay, INT64_MAX, INT64_MIN}, kNow), 0);
}

// A day of one-minute ticks in a window that is always open, with a backup from a wrong clock.
TEST(Schedule, BackupFromTheFarFutureDoesNotMakeItRunWithoutEnd) {
  std::vector<Microseconds> starts = {kNow + 365 * kDay};
  int runs = 0;
  ScheduleState state = Ready();
  for (; state.now < kNow + kDay; state.now += kMinute) {
    state.last_success = NewestSuccess(starts, state.now);
    if (!DecideAutomaticBackup(state).run) continue;
    starts.push_back(state.now);
    ++runs;
  }
  EXPECT_EQ(runs, 2);
}

}  // namespace
}  // namespace backup_ext
