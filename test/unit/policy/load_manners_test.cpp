// When a backup makes room, and how much.
#include "policy/load_manners.h"

#include <gtest/gtest.h>

namespace backup_ext {
namespace {

constexpr uint64_t kMiB = 1024 * 1024;

TEST(CompareLoad, SeesWhatHasRisen) {
  const Load before = {.active_backends = 8, .commits_per_second = 1000};
  struct Case {
    const char* name;
    Load now;
    LoadSigns signs;
  };
  const Case cases[] = {
      {"the same", before, {}},
      {"a little more of all",
       {.active_backends = 9, .commits_per_second = 950, .replication_lag_bytes = 16 * kMiB},
       {}},
      {"commits take longer",
       {.active_backends = 8, .commits_per_second = 700},
       {.commit_latency = true}},
      {"more backends, each as fast",
       {.active_backends = 20, .commits_per_second = 2500},
       {.active_backends = true}},
      {"a standby falls behind",
       {.active_backends = 8, .commits_per_second = 1000, .replication_lag_bytes = 64 * kMiB},
       {.replication_lag = true}},
      {"nobody is there", {}, {}},
      {"a few long reports", {.active_backends = 10, .commits_per_second = 5}, {}},
  };
  for (const Case& c : cases) EXPECT_EQ(CompareLoad(before, c.now), c.signs) << c.name;
}

TEST(CompareLoad, AnIdleServerHasNoLatency) {
  EXPECT_EQ(CompareLoad({}, {.active_backends = 1, .commits_per_second = 500}), LoadSigns());
  EXPECT_TRUE(CompareLoad({}, {.active_backends = 3}).active_backends);
}

TEST(CompareLoad, AStandbyThatWasBehindMayStayThere) {
  const Load before = {.replication_lag_bytes = 1000 * kMiB};
  EXPECT_FALSE(CompareLoad(before, {.replication_lag_bytes = 1500 * kMiB}).any());
  EXPECT_TRUE(CompareLoad(before, {.replication_lag_bytes = 2100 * kMiB}).any());
}

TEST(UsualLooks, CountOnlyTheTimeWithoutABackup) {
  using Look = UsualLooks::Look;
  struct Case {
    int second;
    bool backup_runs;
    Look look;
    const char* name;
  };
  const Case cases[] = {
      {0, false, Look::kBegins, "the first one"},
      {20, false, Look::kCounts, "the second one"},
      {22, false, Look::kNone, "a reload"},
      {40, false, Look::kCounts, "the next one"},
      {60, true, Look::kNone, "a backup runs"},
      {61, false, Look::kBegins, "it has run"},
      {81, false, Look::kCounts, "after it"},
      {500, false, Look::kBegins, "nobody looked for a long time"},
  };
  UsualLooks looks;
  for (const Case& c : cases) {
    EXPECT_EQ(looks.Next(c.second * kMicrosecondsPerSecond, c.backup_runs), c.look) << c.name;
  }
}

TEST(Pace, IsNoLimitInPeace) {
  Pace pace;
  EXPECT_EQ(pace.Adjust(false, 100 * kMiB), 0U);
  EXPECT_EQ(pace.Adjust(false, 0), 0U);
}

TEST(Pace, GivesWayAtOnceDownToATenth) {
  Pace pace;
  uint64_t rate = 100 * kMiB;
  EXPECT_EQ(pace.Adjust(true, rate), 75 * kMiB);
  for (int i = 0; i < 50; ++i) {
    const uint64_t next = pace.Adjust(true, rate);
    EXPECT_LE(next, rate);
    rate = next;
  }
  EXPECT_EQ(rate, 10 * kMiB);
}

TEST(Pace, NeverStops) {
  Pace pace;
  uint64_t rate = 0;
  for (int i = 0; i < 50; ++i) rate = pace.Adjust(true, 0);
  EXPECT_EQ(rate, Pace::kSlowestRate);
}

// An estimate, a checkpoint, media that are read again: nothing is learnt of the rate.
TEST(Pace, IsNotAdjustedWhileNothingIsCopied) {
  Pace pace;
  Microseconds now = 0;
  uint64_t bytes = 0;
  const auto look = [&](bool copies, bool crowded, uint64_t bytes_more) {
    now += 2 * kMicrosecondsPerSecond;
    bytes += bytes_more;
    return pace.Look({.now = now, .copies = copies, .crowded = crowded, .bytes_read = bytes});
  };
  for (int i = 0; i < 10; ++i) EXPECT_EQ(look(false, true, 0), 0U);
  EXPECT_EQ(look(true, true, 1 * kMiB), 0U) << "most of that time it did not copy";
  EXPECT_EQ(look(true, true, 200 * kMiB), 75 * kMiB);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(look(false, true, 0), 75 * kMiB);
  EXPECT_EQ(look(true, true, 0), 75 * kMiB);
  EXPECT_LT(look(true, true, 150 * kMiB), 75 * kMiB);
}

TEST(Pace, ComesBackSlowlyAndWholly) {
  Pace pace;
  uint64_t rate = pace.Adjust(true, 100 * kMiB);
  int steps = 0;
  while (rate != 0) {
    const uint64_t next = pace.Adjust(false, rate);
    EXPECT_TRUE(next == 0 || next > rate);
    rate = next;
    ASSERT_LT(++steps, 100);
  }
  EXPECT_GE(steps, 3);
}

}  // namespace
}  // namespace backup_ext
