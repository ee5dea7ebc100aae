// Pages of random bytes below a sound page header.
#include "fake_cluster.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.h"

namespace backup_ext {
namespace {

constexpr uint32_t kFirstRelation = 16384;
constexpr uint32_t kDatabase = 5;

template <typename Integer>
void Put(std::byte* page, size_t offset, Integer value) {
  std::memcpy(page + offset, &value, sizeof value);
}

RelationFork ForkOf(uint64_t file) {
  return {kDefaultTablespaceOid, kDatabase, kFirstRelation + static_cast<uint32_t>(file),
          kMainForkNumber};
}

}  // namespace

uint64_t Random::Next() {
  uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

FakeCluster::FakeCluster(std::string directory, uint64_t pages, uint64_t seed)
    : directory_(std::move(directory)), random_(seed) {
  for (const char* path : {"base/5", "global", "pg_wal/archive_status", "pg_tblspc", "pg_xact"}) {
    std::filesystem::create_directories(JoinPath(directory_, path));
  }
  const FileDescriptor version = OpenFile(JoinPath(directory_, "PG_VERSION"), O_WRONLY | O_CREAT);
  WriteAll(version.get(), AsBytes("15\n"), "PG_VERSION");
  for (uint64_t page = 0; page < pages; ++page) Change(page);
  changed_.clear();
}

ClusterFacts FakeCluster::Facts() const {
  ClusterFacts facts;
  facts.data_directory = directory_;
  facts.version_directory = "PG_15_202209061";
  facts.system_identifier = kFakeSystemIdentifier;
  facts.block_bytes = kFakePageBytes;
  return facts;
}

std::string FakeCluster::FileName(uint64_t file) const {
  return JoinPath(directory_, fmt::format("base/{}/{}", kDatabase, kFirstRelation + file));
}

void FakeCluster::Change(uint64_t page) {
  if (page / kPagesOfFile == files_.size()) {
    files_.push_back(OpenFile(FileName(files_.size()), O_RDWR | O_CREAT | O_TRUNC));
  }
  if (page == pages_) ++pages_;
  ++lsn_;
  WritePage(page);
  changed_.insert(page);
}

void FakeCluster::WritePage(uint64_t page) {
  std::array<std::byte, kFakePageBytes> bytes;
  for (size_t i = 0; i < bytes.size(); i += 8) Put(bytes.data(), i, random_.Next());
  Put(bytes.data(), 0, static_cast<uint32_t>(lsn_ >> 32));
  Put(bytes.data(), 4, static_cast<uint32_t>(lsn_));
  Put(bytes.data(), 8, uint16_t{0});    // no checksum
  Put(bytes.data(), 10, uint16_t{0});   // no flag
  Put(bytes.data(), 12, uint16_t{64});  // pd_lower, pd_upper, pd_special, size and version
  Put(bytes.data(), 14, uint16_t{4096});
  Put(bytes.data(), 16, uint16_t{8192});
  Put(bytes.data(), 18, uint16_t{8192 | 4});
  const uint64_t file = page / kPagesOfFile;
  const auto place = static_cast<off_t>(page % kPagesOfFile * kFakePageBytes);
  if (pwrite(files_[file].get(), bytes.data(), bytes.size(), place) != ssize_t{kFakePageBytes}) {
    throw SystemError(fmt::format("write file \"{}\"", FileName(file)), errno);
  }
}

uint64_t FakeCluster::BeginBackup() { return ++lsn_; }

ChangedBlocks FakeCluster::TakeChanges() {
  ChangedBlocks changes;
  for (uint64_t file = files_before_; file < files_.size(); ++file) changes.Limit(ForkOf(file), 0);
  for (const uint64_t page : changed_) {
    const auto block = static_cast<uint32_t>(page % kPagesOfFile);
    changes.Add(ForkOf(page / kPagesOfFile), std::span(&block, 1));
  }
  changes.Seal();
  files_before_ = files_.size();
  changed_.clear();
  return changes;
}

}  // namespace backup_ext
