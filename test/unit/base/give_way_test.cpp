// Who waits for a processor, and what that costs a thread of ours.
#include "base/give_way.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace backup_ext {
namespace {

TEST(PartToGive, NothingWhereItHardlyWaited) {
  EXPECT_EQ(PartToGive({}), 0);
  EXPECT_EQ(PartToGive({.ran = 0, .waited = 5000}), 0);
  EXPECT_EQ(PartToGive({.ran = 1000, .waited = 99}), 0);
}

TEST(PartToGive, MoreTheLongerItWaitedAndNeverTooMuch) {
  EXPECT_DOUBLE_EQ(PartToGive({.ran = 1000, .waited = 200}), 8);
  EXPECT_DOUBLE_EQ(PartToGive({.ran = 1000, .waited = 400}), 16);
  EXPECT_DOUBLE_EQ(PartToGive({.ran = 1000, .waited = 4000}), kMostSlowedBy - 1);
  EXPECT_DOUBLE_EQ(PartToGive({.ran = 1, .waited = 4000}), kMostSlowedBy - 1);
}

class StepDebtTest : public testing::Test {
 protected:
  // A step of so many milliseconds, and what it costs.
  Microseconds Step(int ran, int waited, int else_where) {
    now_ += (ran + waited + else_where) * 1000;
    total_.ran += ran * 1000;
    total_.waited += waited * 1000;
    return debt_.Take(now_, total_);
  }

  StepDebt debt_;
  Microseconds now_ = 1'000'000'000;
  ProcessorTimes total_{.ran = 7'000'000, .waited = 7'000'000};
};

TEST_F(StepDebtTest, IsOwedMostWhereTheWaitIsLongest) {
  EXPECT_EQ(Step(10, 0, 0), 0);
  EXPECT_GT(Step(10, 50, 0), 0);
  EXPECT_EQ(Step(10, 5000, 0), 10'000 * (static_cast<int>(kMostSlowedBy) - 1));
}

TEST_F(StepDebtTest, IsForgottenAfterATimeOfSomethingElse) {
  EXPECT_EQ(Step(10, 0, 0), 0);
  EXPECT_GT(Step(10, 50, 100), 0);
  EXPECT_EQ(Step(10, 50, 1000), 0);
  EXPECT_GT(Step(10, 50, 0), 0);
}

// While it was off the thread may have run for hours.
TEST_F(StepDebtTest, DoesNotBeginWithWhatWasBefore) {
  EXPECT_EQ(Step(100'000, 100'000, 0), 0);
  EXPECT_GT(Step(10, 50, 0), 0);
  debt_.Forget();
  EXPECT_EQ(Step(100'000, 100'000, 0), 0);
}

void Burn(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

// Two threads on one processor: each waits for the other.
class GiveWayTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(sched_getaffinity(0, sizeof(before_), &before_), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i) {
      if (CPU_ISSET(i, &before_)) CPU_SET(i, &one);
    }
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    other_ = std::thread([this] {
      while (!ended_) Burn(std::chrono::milliseconds(1));
    });
  }
  void TearDown() override {
    ended_ = true;
    if (other_.joinable()) other_.join();
    EXPECT_EQ(sched_setaffinity(0, sizeof(before_), &before_), 0);
  }
  // Until it has given way, at most for a long time.
  void Work() {
    for (int i = 0; i < 2000 && give_way_.given() == 0; ++i) {
      Burn(std::chrono::milliseconds(5));
      give_way_.Pause([] { return false; });
    }
  }

  GiveWay give_way_;
  std::atomic<bool> ended_{false};
  std::thread other_;
  cpu_set_t before_{};
};

TEST_F(GiveWayTest, SleepsWhereAnotherWaits) {
  give_way_.Set(true);
  Work();
  EXPECT_GT(give_way_.given(), 0);
}

TEST_F(GiveWayTest, DoesNotWhenItIsOff) {
  for (int i = 0; i < 40; ++i) {
    Burn(std::chrono::milliseconds(5));
    give_way_.Pause([] { return false; });
  }
  EXPECT_EQ(give_way_.given(), 0);
}

TEST_F(GiveWayTest, DoesNotWhenTheRunIsToStop) {
  give_way_.Set(true);
  for (int i = 0; i < 40; ++i) {
    Burn(std::chrono::milliseconds(5));
    give_way_.Pause([] { return true; });
  }
  EXPECT_EQ(give_way_.given(), 0);
}

TEST(OthersShare, IsAShare) {
  OthersShare others;
  EXPECT_FALSE(others.Look());
  EXPECT_FALSE(others.Look());  // too soon
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  const auto share = others.Look();
  ASSERT_TRUE(share);
  EXPECT_GE(*share, 0);
  EXPECT_LE(*share, 1);
}

}  // namespace
}  // namespace backup_ext
