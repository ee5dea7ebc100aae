// The changes, one function each.
#include "random_cluster.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "backup_test_support.h"
#include "cluster/page.h"
#include "cluster/relation_file.h"

namespace backup_ext {
namespace {

constexpr std::array<const char*, 5> kPlainFiles = {"pg_xact/0000", "pg_xact/0001", "base/5/extra",
                                                    "postgresql.conf", "global/config_exec"};
constexpr uint32_t kRelations = 5;
constexpr uint16_t kVisible = 4;

template <typename Integer>
void Put(Bytes* bytes, size_t offset, Integer value) {
  std::memcpy(bytes->data() + offset, &value, sizeof value);
}

void Seal(Bytes* page, uint32_t block) {
  if (PageView(*page).is_new()) return;
  Put(page, 8, PageChecksum(*page, block));
}

void WriteFileAt(const std::string& path, uint64_t offset, ByteSpan content) {
  const FileDescriptor file = OpenFile(path, O_WRONLY | O_CREAT);
  WriteAllAt(file.get(), content, offset, path);
}

}  // namespace

Bytes WithoutHints(ByteSpan page) {
  Bytes plain(page.begin(), page.end());
  Put(&plain, 8, uint16_t{0});
  std::fill_n(plain.begin() + kTestHintOffset, kTestHintBytes, std::byte{0});
  return plain;
}

RandomCluster::RandomCluster(const ClusterFacts& facts, const std::string& space_directory,
                             uint64_t seed)
    : facts_(facts), random_(seed) {
  const std::string in_space = fmt::format("pg_tblspc/16399/{}/5", facts.version_directory);
  databases_ = {"base/5", "base/16400", "global", in_space};
  std::filesystem::create_directories(JoinPath(space_directory, facts.version_directory) + "/5");
  std::filesystem::create_directory_symlink(space_directory, Disk("pg_tblspc/16399"));
  for (const std::string& path : databases_) {
    std::filesystem::create_directories(Disk(path));
    // The run asks the server for it: where the test may cancel.
    WriteFileAt(Disk(path + "/pg_filenode.map"), 0, RandomContent(&random_, 512));
    for (uint32_t i = 0; i < kRelations; ++i) {
      const Relation relation{path, 20000 + i * 7};
      Extend(relation, 1 + Random(i == 0 ? 3 * facts_.segment_blocks : 60), Age::kNew);
      ChangeMaps(relation);
    }
    WriteFileAt(Disk(path + "/30000_init"), 0, MakeRandomPage(0, NextLsn()));
  }
  for (const char* path : kPlainFiles) {
    WriteFileAt(Disk(path), 0, RandomContent(&random_, 20'000));
  }
}

void RandomCluster::Change() {
  const Relation relation = AnyRelation();
  const uint64_t blocks = Blocks(relation);
  switch (Random(20)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return ModifyPages(relation);
    case 4:
    case 5:
      return SwitchVisible(relation);
    case 6:
    case 7:
      return SetHints(relation);
    case 8:
      return Extend(relation, 1 + Random(40), Random(3) == 0 ? Age::kZero : Age::kNew);
    case 9:
      return Truncate(relation, Random(blocks + 1));
    case 10:
    case 11: {
      const uint64_t left = Random(blocks + 1);
      Truncate(relation, left);
      if (blocks == left) return;
      return Extend(relation, 1 + Random(blocks - left), Random(2) == 0 ? Age::kZero : Age::kNew);
    }
    case 12:
      return Recreate(relation);
    case 13:
      return RenameOver(relation);
    case 14:
      return Drop(relation);
    case 15:
      if (Random(3) == 0) ReplaceDatabase();
      return;
    case 16:
      return ChangeMaps(relation);
    case 17:
      if (Random(4) == 0) TearExtension(relation);
      return;
    case 18:
      return HideByTimes(relation);
    default:
      return ChangePlainFile();
  }
}

RandomCluster::Relation RandomCluster::AnyRelation() {
  return {databases_[Random(databases_.size())],
          20000 + static_cast<uint32_t>(Random(kRelations)) * 7};
}

std::string RandomCluster::Disk(const std::string& path) const {
  return JoinPath(facts_.data_directory, path);
}

std::string RandomCluster::SegmentPath(const Relation& relation, uint64_t segment) const {
  std::string path = fmt::format("{}/{}", relation.directory, relation.number);
  return segment == 0 ? path : fmt::format("{}.{}", path, segment);
}

uint64_t RandomCluster::PagesOf(const std::string& path) const {
  const auto status = StatLink(Disk(path));
  return status ? static_cast<uint64_t>(status->st_size) / kTestPageBytes : 0;
}

uint64_t RandomCluster::Blocks(const Relation& relation) const {
  uint64_t blocks = 0;
  for (uint64_t segment = 0;; ++segment) {
    const uint64_t pages = PagesOf(SegmentPath(relation, segment));
    blocks += pages;
    if (pages < facts_.segment_blocks) return blocks;
  }
}

RelationFork RandomCluster::ForkOf(const Relation& relation) const {
  RelationFork fork{kDefaultTablespaceOid, DatabaseOfDirectory(relation.directory), relation.number,
                    kMainForkNumber};
  if (relation.directory == "global") fork.tablespace_oid = kGlobalTablespaceOid;
  if (relation.directory.starts_with("pg_tblspc/")) fork.tablespace_oid = 16399;
  return fork;
}

Bytes RandomCluster::MakeRandomPage(uint32_t block, uint64_t lsn) {
  Bytes page = MakePage(block, lsn, static_cast<uint32_t>(random_()));
  Put(&page, 10, Random(3) == 0 ? kVisible : uint16_t{0});
  Seal(&page, block);
  return page;
}

void RandomCluster::WriteBlock(const Relation& relation, uint64_t block, Bytes page) {
  Seal(&page, static_cast<uint32_t>(block));
  const std::string path = SegmentPath(relation, block / facts_.segment_blocks);
  const uint64_t at = block % facts_.segment_blocks;
  WriteFileAt(Disk(path), at * kTestPageBytes, page);
  touched_pages_.insert({path, at});
}

Bytes RandomCluster::ReadBlock(const Relation& relation, uint64_t block) const {
  const std::string path = Disk(SegmentPath(relation, block / facts_.segment_blocks));
  Bytes page(kTestPageBytes);
  const FileDescriptor file = OpenFile(path, O_RDONLY);
  (void)ReadAt(file.get(), page.data(), page.size(), block % facts_.segment_blocks * kTestPageBytes,
               path);
  return page;
}

void RandomCluster::Log(uint64_t lsn, const Relation& relation, uint32_t limit,
                        std::vector<uint32_t> blocks) {
  events_.push_back({lsn, ForkOf(relation), limit, std::move(blocks)});
}

void RandomCluster::TouchRelation(const Relation& relation) {
  for (uint64_t segment = 0; segment < 100; ++segment) {
    touched_files_.insert(SegmentPath(relation, segment));
  }
}

void RandomCluster::ModifyPages(const Relation& relation) {
  const uint64_t blocks = Blocks(relation);
  if (blocks == 0) return;
  const uint64_t lsn = NextLsn();
  std::vector<uint32_t> changed;
  const uint64_t begin = Random(blocks);
  for (uint64_t i = 0; i <= Random(12); ++i) {
    const uint64_t block = Random(2) == 0 ? Random(blocks) : std::min(begin + i, blocks - 1);
    WriteBlock(relation, block, MakeRandomPage(static_cast<uint32_t>(block), lsn));
    changed.push_back(static_cast<uint32_t>(block));
  }
  Log(lsn, relation, ForkChanges::kNoLimit, std::move(changed));
}

// As VACUUM does it without data checksums: WAL names the block, its LSN stays.
void RandomCluster::SwitchVisible(const Relation& relation) {
  const uint64_t blocks = Blocks(relation);
  if (blocks == 0) return;
  std::vector<uint32_t> changed;
  for (uint64_t i = 0; i <= Random(3); ++i) {
    const uint64_t block = Random(blocks);
    Bytes page = ReadBlock(relation, block);
    if (PageView(page).is_new()) continue;
    Put(&page, 10, PageView(page).all_visible() ? uint16_t{0} : kVisible);
    WriteBlock(relation, block, std::move(page));
    changed.push_back(static_cast<uint32_t>(block));
  }
  Log(NextLsn(), relation, ForkChanges::kNoLimit, std::move(changed));
}

void RandomCluster::SetHints(const Relation& relation) {
  const uint64_t blocks = Blocks(relation);
  if (blocks == 0) return;
  const uint64_t block = Random(blocks);
  Bytes page = ReadBlock(relation, block);
  if (PageView(page).is_new()) return;
  Put(&page, kTestHintOffset, random_());
  WriteBlock(relation, block, std::move(page));
}

// Zeroes are not in the WAL: src/backend/storage/smgr/md.c, mdzeroextend().
void RandomCluster::Extend(const Relation& relation, uint64_t pages, Age age) {
  const uint64_t begin = Blocks(relation);
  if (begin == 0 && !StatLink(Disk(SegmentPath(relation, 0)))) {
    Log(NextLsn(), relation, 0, {});
  }
  const uint64_t lsn = NextLsn();
  std::vector<uint32_t> changed;
  for (uint64_t block = begin; block < begin + pages; ++block) {
    const auto number = static_cast<uint32_t>(block);
    const uint64_t page_lsn = age == Age::kOld ? 16 + Random(lsn - 16) : lsn;
    WriteBlock(relation, block,
               age == Age::kZero ? Bytes(kTestPageBytes) : MakeRandomPage(number, page_lsn));
    if (age == Age::kNew) changed.push_back(number);
    touched_files_.insert(SegmentPath(relation, block / facts_.segment_blocks));
  }
  Log(lsn, relation, ForkChanges::kNoLimit, std::move(changed));
}

// Segments behind the end stay, empty: src/backend/storage/smgr/md.c, mdtruncate().
void RandomCluster::Truncate(const Relation& relation, uint64_t blocks) {
  if (blocks >= Blocks(relation)) return;
  TouchRelation(relation);
  for (uint64_t segment = 0;; ++segment) {
    const std::string path = SegmentPath(relation, segment);
    if (!StatLink(Disk(path))) break;
    const uint64_t first = segment * facts_.segment_blocks;
    const uint64_t left = blocks <= first ? 0 : blocks - first;
    if (PagesOf(path) > left) std::filesystem::resize_file(Disk(path), left * kTestPageBytes);
  }
  Log(NextLsn(), relation, static_cast<uint32_t>(blocks), {});
}

void RandomCluster::Drop(const Relation& relation) {
  TouchRelation(relation);
  for (uint64_t segment = 0; RemoveFile(Disk(SegmentPath(relation, segment))); ++segment) {
  }
  for (const char* fork : {"_vm", "_fsm"}) {
    RemoveFile(Disk(SegmentPath(relation, 0) + fork));
    touched_files_.insert(SegmentPath(relation, 0) + fork);
  }
  Log(NextLsn(), relation, 0, {});
}

// Under the same name, often with the same inode number, and with pages of old LSNs.
void RandomCluster::Recreate(const Relation& relation) {
  const uint64_t blocks = Blocks(relation);
  Drop(relation);
  Extend(relation, 1 + (Random(2) == 0 ? blocks : Random(80)), Age::kOld);
  TouchRelation(relation);
}

void RandomCluster::RenameOver(const Relation& relation) {
  const std::string path = SegmentPath(relation, 0);
  const uint64_t pages = PagesOf(path);
  if (pages == 0 || !StatLink(Disk(path))) return;
  TouchRelation(relation);
  Bytes content;
  for (uint32_t block = 0; block < pages; ++block) {
    const Bytes page = MakeRandomPage(block, 16 + Random(lsn_));
    content.insert(content.end(), page.begin(), page.end());
  }
  const std::string aside = JoinPath(ParentDirectory(facts_.data_directory), "aside");
  WriteFileAt(aside, 0, content);
  std::filesystem::rename(aside, Disk(path));
  Log(NextLsn(), relation, 0, {});
}

// CREATE DATABASE by file copy, ALTER DATABASE SET TABLESPACE: WAL names no relation.
void RandomCluster::ReplaceDatabase() {
  const std::string& directory = databases_[Random(2)];
  const std::string& origin = databases_[Random(databases_.size())];
  const std::string aside = JoinPath(ParentDirectory(facts_.data_directory), "database");
  std::filesystem::copy(Disk(origin), aside, std::filesystem::copy_options::recursive);
  for (const auto& file : std::filesystem::directory_iterator(Disk(directory))) {
    touched_files_.insert(JoinPath(directory, file.path().filename().string()));
  }
  std::filesystem::remove_all(Disk(directory));
  std::filesystem::create_directory(Disk(directory));
  for (const auto& file : std::filesystem::directory_iterator(aside)) {
    touched_files_.insert(JoinPath(directory, file.path().filename().string()));
    std::filesystem::copy(file.path(), Disk(directory));
  }
  std::filesystem::remove_all(aside);
  for (uint32_t i = 0; i < kRelations; ++i) TouchRelation({directory, 20000 + i * 7});
  RelationFork fork = ForkOf({directory, 0});
  fork.relation = 0;
  events_.push_back({NextLsn(), fork, 0, {}});
}

// Neither LSN nor WAL tells.
void RandomCluster::ChangeMaps(const Relation& relation) {
  const char* const fork = Random(2) == 0 ? "_vm" : "_fsm";
  const std::string path = SegmentPath(relation, 0) + fork;
  const auto block = static_cast<uint32_t>(Random(PagesOf(path) + 1));
  WriteFileAt(Disk(path), uint64_t{block} * kTestPageBytes, MakeRandomPage(block, 0x1000));
  touched_files_.insert(path);
}

void RandomCluster::ChangePlainFile() {
  const std::string path = kPlainFiles[Random(kPlainFiles.size())];
  touched_files_.insert(path);
  const auto status = StatLink(Disk(path));
  const uint64_t size = status ? static_cast<uint64_t>(status->st_size) : 0;
  switch (Random(4)) {
    case 0:
      RemoveFile(Disk(path));
      return;
    case 1:  // small to large and back
      if (size > 0) std::filesystem::resize_file(Disk(path), Random(2) * Random(600'000));
      return;
    default:
      WriteFileAt(Disk(path), Random(size + 1), RandomContent(&random_, 1 + Random(100)));
  }
}

// Half a page at the end, or the whole one at last.
void RandomCluster::TearExtension(const Relation& relation) {
  const uint64_t blocks = Blocks(relation);
  const std::string path = SegmentPath(relation, blocks / facts_.segment_blocks);
  if (!StatLink(Disk(path))) return;
  const uint64_t end = blocks % facts_.segment_blocks * kTestPageBytes;
  WriteFileAt(Disk(path), end, RandomContent(&random_, 1 + Random(kTestPageBytes - 1)));
  touched_files_.insert(path);
}

// As rsync and cp -p do it: only the ctime tells.
void RandomCluster::HideByTimes(const Relation& relation) {
  const std::string path = Disk(SegmentPath(relation, 0));
  const auto status = StatLink(path);
  if (!status) return;
  ModifyPages(relation);
  const std::array<struct timespec, 2> times = {status->st_atim, status->st_mtim};
  (void)utimensat(AT_FDCWD, path.c_str(), times.data(), 0);
}

ChangedBlocks RandomCluster::Summarize(uint64_t from, uint64_t to) const {
  struct Known {
    uint32_t limit_block = ForkChanges::kNoLimit;
    std::set<uint32_t> blocks;
  };
  std::map<RelationFork, Known> known;
  for (const Event& event : events_) {
    if (event.lsn < from || event.lsn >= to) continue;
    Known& fork = known[event.fork];
    if (event.limit_block < fork.limit_block) {
      fork.limit_block = event.limit_block;
      fork.blocks.erase(fork.blocks.lower_bound(event.limit_block), fork.blocks.end());
    }
    fork.blocks.insert(event.blocks.begin(), event.blocks.end());
  }
  ChangedBlocks changes;
  for (const auto& [relation, fork] : known) {
    changes.Limit(relation, fork.limit_block);
    changes.Add(relation, std::vector<uint32_t>(fork.blocks.begin(), fork.blocks.end()));
  }
  changes.Seal();
  return changes;
}

}  // namespace backup_ext
