// WAL segments beside a backup.
#include "backup/copy_wal.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "backup_test_support.h"
#include "cluster/wal_file.h"

namespace backup_ext {
namespace {

using testing::HasSubstr;

class CopyWalTest : public BackupTest {
 protected:
  static std::string Name(uint64_t number, uint32_t timeline = 1) {
    return WalSegmentName({timeline, number}, kTestWalSegmentBytes);
  }
  void WriteSegment(uint64_t number) const {
    Write("pg_wal/" + Name(number), MakeWalSegment(1, number, static_cast<uint32_t>(number)));
  }
  std::optional<Error> ErrorOfSegment(const std::string& name, uint64_t bytes) {
    auto run = NewRun();
    run->CopyCluster(kTestStartLsn);
    return ErrorOf([&] {
      run->PostWalSegment(name, bytes);
      run->DrainWal();
    });
  }
};

TEST_F(CopyWalTest, StoresSegmentsPostedAtEveryTime) {
  for (uint64_t number = 3; number < 60; ++number) WriteSegment(number);
  for (int i = 0; i < 30; ++i) {
    Write(fmt::format("base/5/{}", 16384 + i), MakePages(100, 0x1000, 1));
  }
  options.max_bytes_per_second = 15'000'000;
  const auto run = NewRun();
  uint64_t next = 3;
  server.on_pause = [&] {
    for (int i = 0; i < 2 && next < 30; ++i) {
      run->PostWalSegment(Name(next++), kTestWalSegmentBytes);
    }
  };
  run->CopyCluster(kTestStartLsn);
  EXPECT_GT(server.pauses, 2);
  EXPECT_GT(next, 4U);
  while (next < 60) run->PostWalSegment(Name(next++), kTestWalSegmentBytes);
  EXPECT_LE(run->wal_segments_stored(), 57U);
  run->DrainWal();
  EXPECT_EQ(run->wal_segments_stored(), 57U);

  const StoredBackup backup = Finish(run.get());
  EXPECT_EQ(backup.second.size(), 57U);
  for (uint64_t number = 3; number < 60; ++number) {
    const StoredEntry& stored = backup.At("pg_wal/" + Name(number));
    EXPECT_EQ(stored.entry.file_kind, FileKind::kWal);
    EXPECT_TRUE(stored.content == MakeWalSegment(1, number, static_cast<uint32_t>(number)));
  }
}

// A backup that is held back must not hold back the server's WAL.
TEST_F(CopyWalTest, WaitsNeitherForTheFilesNorForTheMaximumRate) {
  for (uint64_t number = 3; number < 8; ++number) WriteSegment(number);
  for (int i = 0; i < 30; ++i) {
    Write(fmt::format("base/5/{}", 16384 + i), MakePages(100, 0x1000, 1));
  }
  constexpr int kMostPauses = 50;
  options.max_bytes_per_second = 100'000;
  const auto run = NewRun();
  uint64_t next = 3;
  size_t stored_while_copying = 0;
  server.on_pause = [&] {
    if (next < 8) run->PostWalSegment(Name(next++), kTestWalSegmentBytes);
    stored_while_copying = run->wal_segments_stored();
    if (stored_while_copying == 5 || server.pauses > kMostPauses) run->SetMaxRate(0);
  };
  run->CopyCluster(kTestStartLsn);
  EXPECT_EQ(stored_while_copying, 5U);
  EXPECT_LE(server.pauses, kMostPauses);
}

// Behind its last record a recycled segment holds what it held before.
TEST_F(CopyWalTest, StoresZerosBehindTheFirstBytesOfASegment) {
  constexpr std::array<size_t, 4> kBytes = {1, 5000, 65536, 300'000};
  const auto run = NewRun();
  run->CopyCluster(kTestStartLsn);
  for (size_t i = 0; i < kBytes.size(); ++i) {
    WriteSegment(3 + i);
    run->PostWalSegment(Name(3 + i), kBytes.at(i));
  }
  const StoredBackup backup = Finish(run.get());
  for (size_t i = 0; i < kBytes.size(); ++i) {
    Bytes expected = MakeWalSegment(1, 3 + i, static_cast<uint32_t>(3 + i));
    std::fill(expected.begin() + static_cast<ptrdiff_t>(kBytes.at(i)), expected.end(),
              std::byte{0});
    EXPECT_TRUE(backup.At("pg_wal/" + Name(3 + i)).content == expected) << kBytes.at(i);
  }
}

TEST_F(CopyWalTest, TellsProgressWithoutDraining) {
  for (uint64_t number = 3; number < 40; ++number) WriteSegment(number);
  const auto run = NewRun();
  run->CopyCluster(kTestStartLsn);
  for (uint64_t number = 3; number < 40; ++number) {
    run->PostWalSegment(Name(number), kTestWalSegmentBytes);
  }
  for (int i = 0; i < 5000 && run->wal_segments_stored() < 37; ++i) usleep(1000);
  EXPECT_EQ(run->wal_segments_stored(), 37U);
}

TEST_F(CopyWalTest, TakesNothingMoreOnceItFinishes) {
  for (uint64_t number = 3; number < 5; ++number) WriteSegment(number);
  const auto run = NewRun();
  run->CopyCluster(kTestStartLsn);
  run->PostWalSegment(Name(3), kTestWalSegmentBytes);
  run->DrainWal();
  server.on_pause = [&] {
    if (progress.phase == Phase::kCommitting) run->PostWalSegment(Name(4), kTestWalSegmentBytes);
  };
  usleep(110'000);
  const int pauses = server.pauses;
  run->AddSuppliedFile({EntryKind::kFile, FileKind::kOther, "backup_label", {}, {}, 0600});
  const StoredBackup backup = Finish(run.get());
  EXPECT_GT(server.pauses, pauses);
  EXPECT_EQ(backup.second.size(), 2U);
  EXPECT_EQ(run->wal_segments_stored(), 1U);
}

TEST_F(CopyWalTest, RefusesARecycledSegment) {
  Write("pg_wal/" + Name(3), MakeWalSegment(1, 7, 1));
  const auto error = ErrorOfSegment(Name(3), kTestWalSegmentBytes);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kDamaged);
  EXPECT_THAT(error->message(), HasSubstr(Name(3)));
}

TEST_F(CopyWalTest, RefusesAShortSegment) {
  Bytes segment = MakeWalSegment(1, 3, 1);
  segment.resize(100'000);
  Write("pg_wal/" + Name(3), segment);
  const auto error = ErrorOfSegment(Name(3), kTestWalSegmentBytes);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kDamaged);
  EXPECT_THAT(error->message(), HasSubstr("is shorter than 1048576 bytes"));
}

TEST_F(CopyWalTest, RefusesAMissingSegment) {
  const auto error = ErrorOfSegment(Name(3), kTestWalSegmentBytes);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kNotFound);
}

TEST_F(CopyWalTest, RefusesOtherNames) {
  const auto run = NewRun();
  for (const char* name : {"00000001.history", "../PG_VERSION", "", "00000001000000000000000G"}) {
    const auto error = ErrorOf([&] { run->PostWalSegment(name, kTestWalSegmentBytes); });
    ASSERT_TRUE(error.has_value()) << name;
    EXPECT_EQ(error->code(), ErrorCode::kInvalidArgument);
  }
  EXPECT_NE(ErrorOf([&] { run->PostWalSegment(Name(3), 0); }), std::nullopt);
  EXPECT_NE(ErrorOf([&] { run->PostWalSegment(Name(3), kTestWalSegmentBytes + 1); }), std::nullopt);
}

}  // namespace
}  // namespace backup_ext
