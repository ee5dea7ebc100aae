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

// Nothing stands in the way, no backup was ever made, and the window opened an hour ago.
ScheduleState Ready() {
  ScheduleState state;
  state.enabled = true;
  state.repository_set = true;
  state.window_open = true;
  state.now = kNow;
  state.window_opened_at = kNow - kHour;
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
       "the server is in recovery, and backup_ext.run_on is primary"},
      {"standby that is to run it",
       [](ScheduleState* s) {
         s->in_recovery = true;
         s->run_on = RunOn::kStandby;
       },
       true, "there is no good backup yet"},
      {"primary where the standby is to run it",
       [](ScheduleState* s) { s->run_on = RunOn::kStandby; }, false,
       "the server is not in recovery, and backup_ext.run_on is standby"},
      {"any: the primary", [](ScheduleState* s) { s->run_on = RunOn::kAny; }, true,
       "there is no good backup yet"},
      {"any: the standby",
       [](ScheduleState* s) {
         s->in_recovery = true;
         s->run_on = RunOn::kAny;
       },
       true, "there is no good backup yet"},
      {"running", [](ScheduleState* s) { s->backup_running = true; }, false, "a backup is running"},
      {"closed", [](ScheduleState* s) { s->window_open = false; }, false, "the window is closed"},
      {"all at once", [](ScheduleState* s) { *s = ScheduleState{}; }, false,
       "automatic backups are switched off (backup_ext.enabled)"},
  };
  ExpectDecisions(rows);
}

TEST(Schedule, IsDueUntilAGoodBackupBeganSinceTheWindowOpened) {
  const Row rows[] = {
      {"just begun", [](ScheduleState* s) { s->last_success = kNow; }, false,
       "the last good backup began 0 s ago"},
      {"seconds", [](ScheduleState* s) { s->last_success = kNow - 59 * kSecond; }, false,
       "the last good backup began 59 s ago"},
      {"as it opened", [](ScheduleState* s) { s->last_success = kNow - kHour; }, false,
       "the last good backup began 1 h 0 min ago"},
      {"right before", [](ScheduleState* s) { s->last_success = kNow - kHour - 1; }, true,
       "the last good backup began 1 h 0 min ago"},
      {"the night before", [](ScheduleState* s) { s->last_success = kNow - kDay; }, true,
       "the last good backup began 24 h 0 min ago"},
      {"long ago", [](ScheduleState* s) { s->last_success = kNow - 9 * kDay - 5 * kHour; }, true,
       "the last good backup began 9 d 5 h ago"},
      {"1970", [](ScheduleState* s) { s->last_success = 1; }, true,
       "the last good backup began 20780 d 10 h ago"},
  };
  ExpectDecisions(rows);
}

// The window that opened an hour ago is closed, and the server came up after it had opened.
void CloseMissed(ScheduleState* state) {
  state->window_open = false;
  state->up_since = kNow - kMinute;
  state->last_success = kNow - kDay;
}

TEST(Schedule, WindowThatWasMissedIsMadeUp) {
  constexpr std::string_view kMadeUp =
      "the window that opened 1 h 0 min ago was missed: the last good backup began 24 h 0 min ago";
  const Row rows[] = {
      {"the server was down", CloseMissed, true, kMadeUp},
      {"it came up as the window opened",
       [](ScheduleState* s) {
         CloseMissed(s);
         s->up_since = s->window_opened_at;
       },
       false, "the window is closed"},
      {"there never was a backup",
       [](ScheduleState* s) {
         CloseMissed(s);
         s->last_success = 0;
       },
       true, "the window that opened 1 h 0 min ago was missed: there is no good backup yet"},
      {"switched off",
       [](ScheduleState* s) {
         CloseMissed(s);
         s->catch_up = false;
       },
       false, "the window is closed; one that was missed is not made up (backup_ext.catch_up)"},
      {"the schedule began after it",
       [](ScheduleState* s) {
         CloseMissed(s);
         s->scheduled_since = s->window_opened_at + 1;
       },
       false, "the window is closed"},
      {"made up",
       [](ScheduleState* s) {
         CloseMissed(s);
         s->last_success = kNow - kMinute;
       },
       false, "the last good backup began 1 min ago"},
      {"made up, and it failed",
       [](ScheduleState* s) {
         CloseMissed(s);
         s->last_failure = kNow - kSecond;
         s->failures_of_window = 1;
       },
       false, "the last run failed, next try in 59 s"},
      {"made up, and cancelled",
       [](ScheduleState* s) {
         CloseMissed(s);
         s->last_cancel = kNow - kSecond;
       },
       false, "the last run was cancelled, next try when the window opens again"},
      {"made up after a crash: not at once",
       [](ScheduleState* s) {
         CloseMissed(s);
         s->last_crash = kNow - kSecond;
         s->crashes = 1;
       },
       false, "the server crashed, next try in 59 s"},
      {"made up elsewhere",
       [](ScheduleState* s) {
         CloseMissed(s);
         s->in_recovery = true;
       },
       false, "the server is in recovery, and backup_ext.run_on is primary"},
  };
  ExpectDecisions(rows);
}

TEST(Schedule, FailedWindowWaitsForTheNextOne) {
  ScheduleState state = Ready();
  state.window_open = false;
  state.last_failure = kNow - 10 * kMinute;
  state.failures_of_window = 5;
  EXPECT_FALSE(DecideAutomaticBackup(state).run);
  EXPECT_EQ(DecideAutomaticBackup(state).because,
            "the window is closed, and its backup failed: the next one takes it");
  state.window_open = true;
  state.window_opened_at = kNow + kMinute;
  state.now = kNow + kMinute;
  state.failures_of_window = 0;
  EXPECT_TRUE(DecideAutomaticBackup(state).run);
}

TEST(Schedule, RunThatItsWindowCutOffGoesOnInTheNextOne) {
  ScheduleState state = Ready();
  state.window_open = false;
  state.last_cut_off = kNow - kMinute;
  EXPECT_FALSE(DecideAutomaticBackup(state).run);
  EXPECT_EQ(DecideAutomaticBackup(state).because,
            "the window is closed, and cut its backup off: the next one goes on with it");
  state.window_open = true;
  state.window_opened_at = kNow;
  EXPECT_TRUE(DecideAutomaticBackup(state).run);
}

TEST(Schedule, OtherWriterIsNoFailureAndWaitedFor) {
  const Row rows[] = {
      {"just now", [](ScheduleState* s) { s->last_locked_out = kNow - kSecond; }, false,
       "another server writes to the repository, next try in 59 s"},
      {"a minute later", [](ScheduleState* s) { s->last_locked_out = kNow - kMinute; }, true,
       "there is no good backup yet"},
      {"which made the backup",
       [](ScheduleState* s) {
         s->last_locked_out = kNow - kSecond;
         s->last_success = kNow - kMinute;
       },
       false, "the last good backup began 1 min ago"},
  };
  ExpectDecisions(rows);
}

TEST(Schedule, ReadsTheCatalogOnlyWhereItMatters) {
  ScheduleState state = Ready();
  EXPECT_TRUE(NeedsLastSuccess(state));
  state.backup_running = true;
  EXPECT_FALSE(NeedsLastSuccess(state));
  state = Ready();
  CloseMissed(&state);
  EXPECT_TRUE(NeedsLastSuccess(state));
  state.up_since = 0;
  EXPECT_FALSE(NeedsLastSuccess(state));
}

TEST(Schedule, SuccessInTheFutureIsBelievedForFourHours) {
  const Row rows[] = {
      {"a second", [](ScheduleState* s) { s->last_success = kNow + kSecond; }, false,
       "the last good backup began 1 s in the future: the clock went back"},
      {"four hours", [](ScheduleState* s) { s->last_success = kNow + 4 * kHour; }, false,
       "the last good backup began 4 h 0 min in the future: the clock went back"},
      {"more", [](ScheduleState* s) { s->last_success = kNow + 4 * kHour + 1; }, true,
       "the last good backup began 4 h 0 min in the future: the clock went back"},
      {"the end of time", [](ScheduleState* s) { s->last_success = INT64_MAX; }, true,
       "the last good backup began 106731210 d 17 h in the future: the clock went back"},
  };
  ExpectDecisions(rows);
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
         s->failures_of_window = 1;
         s->last_crash = kNow - kMinute;
         s->crashes = 2;
       },
       false, "the server crashed, next try in 1 min"},
      {"a fresh success is not made due by it",
       [](ScheduleState* s) {
         s->last_crash = kNow - kHour;
         s->crashes = 1;
         s->last_success = kNow - kHour;
       },
       false, "the last good backup began 1 h 0 min ago"},
  };
  ExpectDecisions(rows);
}

TEST(Schedule, FailedRunIsTriedAgainAfterThePause) {
  const Row rows[] = {
      {"at once",
       [](ScheduleState* s) {
         s->last_failure = kNow;
         s->failures_of_window = 1;
       },
       false, "the last run failed, next try in 1 min"},
      {"too early",
       [](ScheduleState* s) {
         s->last_failure = kNow - kMinute + 1;
         s->failures_of_window = 1;
       },
       false, "the last run failed, next try in 0 s"},
      {"one failure",
       [](ScheduleState* s) {
         s->last_failure = kNow - kMinute;
         s->failures_of_window = 1;
       },
       true, "there is no good backup yet"},
      {"two failures",
       [](ScheduleState* s) {
         s->last_failure = kNow - kMinute;
         s->failures_of_window = 2;
       },
       false, "the last run failed, next try in 1 min"},
      {"many failures",
       [](ScheduleState* s) {
         s->last_failure = kNow - 29 * kMinute;
         s->failures_of_window = 1000;
       },
       false, "the last run failed, next try in 1 min"},
      {"longest pause is over",
       [](ScheduleState* s) {
         s->last_failure = kNow - 30 * kMinute;
         s->failures_of_window = 1000;
         s->last_success = kNow - 3 * kDay;
       },
       true, "the last good backup began 3 d 0 h ago"},
      {"an old failure before a success does not matter",
       [](ScheduleState* s) {
         s->last_failure = kNow - kSecond;
         s->failures_of_window = 0;
         s->last_success = kNow - kDay;
       },
       true, "the last good backup began 24 h 0 min ago"},
      {"a failure does not make a fresh success due",
       [](ScheduleState* s) {
         s->last_failure = kNow - kHour;
         s->failures_of_window = 3;
         s->last_success = kNow - kHour;
       },
       false, "the last good backup began 1 h 0 min ago"},
      {"failure a little in the future",
       [](ScheduleState* s) {
         s->last_failure = kNow + 30 * kSecond;
         s->failures_of_window = 1;
       },
       false, "the last run failed, next try in 1 min"},
      {"failure far in the future is not believed",
       [](ScheduleState* s) {
         s->last_failure = kNow + kDay;
         s->failures_of_window = 9;
       },
       true, "there is no good backup yet"},
      {"no failure",
       [](ScheduleState* s) {
         s->last_failure = 0;
         s->failures_of_window = 9;
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
  const auto newest = [](const Starts& starts) {
    std::set<Microseconds> of_another_clock;
    return NewestSuccess(starts, kNow, &of_another_clock);
  };
  EXPECT_EQ(newest({}), 0);
  EXPECT_EQ(newest({kNow - kDay, kNow - kHour, kNow - 2 * kDay}), kNow - kHour);
  EXPECT_EQ(newest({kNow + 4 * kHour, kNow}), kNow + 4 * kHour);
  EXPECT_EQ(newest({kNow + 4 * kHour + 1, kNow - kDay}), kNow - kDay);
  EXPECT_EQ(newest({kNow + 365 * kDay, INT64_MAX, INT64_MIN}), 0);
}

TEST(Schedule, BackupOfAnotherClockNeverCounts) {
  const std::vector<Microseconds> starts = {kNow + kDay};
  std::set<Microseconds> of_another_clock;
  EXPECT_EQ(NewestSuccess(starts, kNow, &of_another_clock), 0);
  EXPECT_EQ(NewestSuccess(starts, kNow + kDay + kMinute, &of_another_clock), 0);
}

}  // namespace
}  // namespace backup_ext
