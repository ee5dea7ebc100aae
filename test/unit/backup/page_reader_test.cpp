// Pages in flight and damaged ones, told apart while a file changes.
#include "backup/page_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "backup/copy_environment.h"
#include "backup_test_support.h"

namespace backup_ext {
namespace {

using testing::IsEmpty;

class PageReaderTest : public testing::Test {
 protected:
  PageReaderTest() : path_(directory_ / "16384") {
    environment.facts.data_checksums = true;
    environment.start_lsn = kTestStartLsn;
    environment.wal_position = kTestWalPosition;
  }

  void Put(const Bytes& content, uint64_t offset = 0) const {
    const FileDescriptor file = OpenFile(path_, O_WRONLY | O_CREAT);
    WriteAllAt(file.get(), content, offset, path_);
  }
  Bytes Read(uint32_t pages, uint64_t offset = 0) {
    const FileDescriptor file = OpenFile(path_, O_RDONLY);
    const ReadableFile readable = {file.get(), "base/5/16384", &path_, true, segment, 5};
    Bytes buffer(size_t{pages} * kTestPageBytes, std::byte{0xEE});
    PageReader(&environment).Read(readable, offset, buffer, &damage);
    return buffer;
  }
  // Runs `change` on another thread `after` the start.
  std::thread After(std::chrono::milliseconds after, std::function<void()> change) const {
    return std::thread([after, change = std::move(change)] {
      std::this_thread::sleep_for(after);
      change();
    });
  }

  TemporaryDirectory directory_;
  std::string path_;
  CopyEnvironment environment;
  uint32_t segment = 0;
  DamageList damage;
};

Bytes Damaged(Bytes page) {
  page[5000] ^= std::byte{0x10};
  return page;
}

TEST_F(PageReaderTest, ReReadsTornPage) {
  Bytes pages = MakePages(4, 0x1000, 1);
  const Bytes sound = pages;
  std::fill_n(pages.begin() + 2 * kTestPageBytes + 4096, 4096, std::byte{0});
  Put(pages);
  std::thread writer = After(std::chrono::milliseconds(20), [&] { Put(sound); });
  const Bytes read = Read(4);
  writer.join();
  EXPECT_TRUE(damage.empty());
  EXPECT_TRUE(read == sound);
}

TEST_F(PageReaderTest, LeavesAPageToReplayOnceItShowsANewLsn) {
  Put(Damaged(MakePage(0, 0x1000, 1)));
  const Bytes newer = Damaged(MakePage(0, kTestStartLsn, 1));
  std::thread writer = After(std::chrono::milliseconds(20), [&] { Put(newer); });
  const Bytes read = Read(1);
  writer.join();
  EXPECT_TRUE(damage.empty());
  EXPECT_TRUE(read == newer);
}

TEST_F(PageReaderTest, ReportsAPageThatStaysBad) {
  segment = 2;
  Put(Damaged(MakePage(0, kTestStartLsn - 1, 1)), 3 * kTestPageBytes);
  const auto begun_at = std::chrono::steady_clock::now();
  const Bytes read = Read(1, 3 * kTestPageBytes);
  EXPECT_GE(std::chrono::steady_clock::now() - begun_at, std::chrono::milliseconds(91));
  ASSERT_EQ(damage.count(), 1U);
  EXPECT_EQ(damage.pages()[0].path, "base/5/16384");
  EXPECT_EQ(damage.pages()[0].block, 3U);
  EXPECT_EQ(damage.pages()[0].database_oid, 5U);
  EXPECT_TRUE(read == Damaged(MakePage(0, kTestStartLsn - 1, 1)));
}

TEST_F(PageReaderTest, CountsBlocksThroughSegments) {
  environment.facts.segment_blocks = 100;
  segment = 2;
  Put(MakePage(203, 0x1000, 1), 3 * kTestPageBytes);
  (void)Read(1, 3 * kTestPageBytes);
  EXPECT_TRUE(damage.empty());
}

TEST_F(PageReaderTest, WaitsForANewerWalPosition) {
  environment.wal_position = kTestStartLsn + 100;
  Put(Damaged(MakePage(0, kTestStartLsn + 200, 1)));
  std::thread server = After(std::chrono::milliseconds(200),
                             [&] { environment.wal_position = kTestStartLsn + 300; });
  (void)Read(1);
  server.join();
  EXPECT_TRUE(damage.empty());
}

TEST_F(PageReaderTest, ReportsAnLsnBeyondAllWal) {
  Put(Damaged(MakePage(0, kTestWalPosition + 1, 1)));
  (void)Read(1);
  EXPECT_EQ(damage.count(), 1U);
}

TEST_F(PageReaderTest, WaitsWhileAPageKeepsChanging) {
  Put(Damaged(MakePage(0, 0x1000, 0)));
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (uint32_t seed = 1; seed < 120; ++seed) {
      Put(Damaged(MakePage(0, 0x1000, seed)));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    Put(MakePage(0, 0x1000, 1));
    done = true;
  });
  const Bytes read = Read(1);
  writer.join();
  EXPECT_TRUE(done);
  EXPECT_TRUE(damage.empty());
  EXPECT_TRUE(read == MakePage(0, 0x1000, 1));
}

TEST_F(PageReaderTest, SkipsNewPages) {
  Put(Bytes(kTestPageBytes));
  (void)Read(1);
  EXPECT_TRUE(damage.empty());
}

TEST_F(PageReaderTest, PadsWhatWasCutOffWithZeroes) {
  Bytes pages = MakePages(2, 0x1000, 1);
  pages.resize(kTestPageBytes + 100);
  Put(pages);
  const Bytes read = Read(4);
  EXPECT_TRUE(damage.empty());
  Bytes expected = MakePages(1, 0x1000, 1);
  expected.resize(4 * kTestPageBytes);
  EXPECT_TRUE(read == expected);
}

TEST_F(PageReaderTest, PadsAPageThatIsCutOffWhileItIsReadAgain) {
  Put(Damaged(MakePage(0, 0x1000, 1)));
  std::thread writer = After(std::chrono::milliseconds(20), [&] {
    if (truncate(path_.c_str(), 0) != 0) std::abort();
  });
  const Bytes read = Read(1);
  writer.join();
  EXPECT_TRUE(damage.empty());
  EXPECT_TRUE(read == Bytes(kTestPageBytes));
}

TEST_F(PageReaderTest, StopsWhenTheRunDoes) {
  Put(Damaged(MakePage(0, 0x1000, 1)));
  environment.stop = true;
  (void)Read(1);
  EXPECT_TRUE(damage.empty());
}

}  // namespace
}  // namespace backup_ext
