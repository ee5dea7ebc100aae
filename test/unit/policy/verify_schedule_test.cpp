// When the newest backup is verified by itself.
#include "policy/verify_schedule.h"

#include <gtest/gtest.h>

#include <string_view>

namespace backup_ext {
namespace {

constexpr Microseconds kMinute = 60 * kMicrosecondsPerSecond;
constexpr Microseconds kDay = 24 * 60 * kMinute;
constexpr Microseconds kNow = 1'795'430'000 * kMicrosecondsPerSecond;

struct Row {
  std::string_view name;
  void (*change)(VerifyState*);
  bool is_due;
};

TEST(VerifySchedule, IsDueOnceAnInterval) {
  const Row rows[] = {
      {"never verified", [](VerifyState*) {}, true},
      {"switched off", [](VerifyState* s) { s->interval = 0; }, false},
      {"negative", [](VerifyState* s) { s->interval = -1; }, false},
      {"standby", [](VerifyState* s) { s->runs_elsewhere = true; }, false},
      {"a backup runs", [](VerifyState* s) { s->backup_running = true; }, false},
      {"a verify runs", [](VerifyState* s) { s->verify_running = true; }, false},
      {"just ended", [](VerifyState* s) { s->last_end = kNow; }, false},
      {"almost", [](VerifyState* s) { s->last_end = kNow - 7 * kDay + 1; }, false},
      {"an interval ago", [](VerifyState* s) { s->last_end = kNow - 7 * kDay; }, true},
      {"clock went back", [](VerifyState* s) { s->last_end = kNow + kDay; }, false},
      {"clock was a year ahead", [](VerifyState* s) { s->last_end = kNow + 365 * kDay; }, true},
      {"failed",
       [](VerifyState* s) {
         s->last_failure = kNow - kMinute + 1;
         s->failures_in_a_row = 1;
       },
       false},
      {"failed a minute ago",
       [](VerifyState* s) {
         s->last_failure = kNow - kMinute;
         s->failures_in_a_row = 1;
       },
       true},
      {"failed often",
       [](VerifyState* s) {
         s->last_failure = kNow - 29 * kMinute;
         s->failures_in_a_row = 9;
       },
       false},
      {"failed often, long ago",
       [](VerifyState* s) {
         s->last_failure = kNow - 30 * kMinute;
         s->failures_in_a_row = 9;
       },
       true},
      {"failed after a success",
       [](VerifyState* s) {
         s->last_end = kNow - kDay;
         s->last_failure = kNow - kDay + 1;
         s->failures_in_a_row = 1;
       },
       false}};
  for (const Row& row : rows) {
    VerifyState state;
    state.interval = 7 * kDay;
    state.now = kNow;
    row.change(&state);
    EXPECT_EQ(IsVerifyDue(state), row.is_due) << row.name;
  }
}

}  // namespace
}  // namespace backup_ext
