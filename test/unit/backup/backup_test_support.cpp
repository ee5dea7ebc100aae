// Makes clusters and reads backups.
#include "backup_test_support.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/clock.h"
#include "base/digest.h"
#include "cluster/page.h"
#include "cluster/wal_file.h"
#include "format/names.h"
#include "format/pack.h"
#include "store/frame_source.h"

namespace backup_ext {
namespace {

template <typename Integer>
void Put(Bytes* bytes, size_t offset, Integer value) {
  std::memcpy(bytes->data() + offset, &value, sizeof value);
}

Bytes ReadContent(FrameSource* source, const ManifestEntry& entry,
                  const std::vector<PackId>& packs) {
  Bytes content;
  for (const PageRun& run : entry.map.runs) {
    const FrameRef& frame = entry.map.frames.at(run.frame);
    const ByteSpan plain = source->Read(frame, packs.at(frame.pack));
    const ByteSpan piece = plain.subspan(size_t{run.first_unit} * entry.map.unit_bytes,
                                         static_cast<size_t>(run.units) * entry.map.unit_bytes);
    content.insert(content.end(), piece.begin(), piece.end());
  }
  return content;
}

}  // namespace

TemporaryDirectory::TemporaryDirectory()
    : path_(JoinPath(ResolvePath(testing::TempDir()), "backup-" + HexEncode(RandomBytes(8)))) {
  MakeDirectory(path_);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::optional<Error> ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

Bytes MakePage(uint32_t block, uint64_t lsn, uint32_t seed) {
  Bytes page(kTestPageBytes);
  std::mt19937 random(seed * 7919 + block);
  for (size_t i = 4096; i < page.size(); i += 4) Put(&page, i, static_cast<uint32_t>(random()));
  Put(&page, 0, static_cast<uint32_t>(lsn >> 32));
  Put(&page, 4, static_cast<uint32_t>(lsn));
  Put(&page, 10, static_cast<uint16_t>(block % 3 == 0 ? 4 : 0));  // PD_ALL_VISIBLE on every third
  Put(&page, 12, uint16_t{64});                                   // pd_lower
  Put(&page, 14, uint16_t{4096});                                 // pd_upper
  Put(&page, 8, PageChecksum(page, block));
  return page;
}

Bytes MakePages(uint32_t pages, uint64_t lsn, uint32_t seed) {
  Bytes content;
  for (uint32_t block = 0; block < pages; ++block) {
    const Bytes page = MakePage(block, lsn, seed);
    content.insert(content.end(), page.begin(), page.end());
  }
  return content;
}

Bytes RandomContent(std::mt19937_64* random, size_t size_bytes) {
  Bytes content(size_bytes);
  for (std::byte& byte : content) byte = static_cast<std::byte>((*random)() % 17);
  return content;
}

Bytes MakeWalSegment(uint32_t timeline, uint64_t number, uint32_t seed) {
  std::mt19937_64 random(seed);
  Bytes segment = RandomContent(&random, kTestWalSegmentBytes);
  std::fill(segment.begin() + kTestWalSegmentBytes / 2, segment.end(), std::byte{0});
  // XLogLongPageHeaderData of version 15.
  Put(&segment, 0, uint16_t{0xD110});
  Put(&segment, 2, uint16_t{0x0002});
  Put(&segment, 4, timeline);
  Put(&segment, 8, number * kTestWalSegmentBytes);
  Put(&segment, 16, uint32_t{0});
  Put(&segment, 20, uint32_t{0});
  Put(&segment, 24, kTestSystemIdentifier);
  Put(&segment, 32, kTestWalSegmentBytes);
  Put(&segment, 36, uint32_t{8192});
  return segment;
}

std::optional<Bytes> TestServer::ReadRelationMap(const std::string& path) {
  relation_maps.push_back(path);
  if (on_relation_map) on_relation_map();
  const std::string disk_path = JoinPath(data_directory_, path);
  if (!StatLink(disk_path)) return std::nullopt;
  return ReadWholeFile(disk_path, 1024 * 1024);
}

const StoredEntry& StoredBackup::At(const std::string& path) const {
  for (const auto* section : {&second, &first}) {
    for (const StoredEntry& stored : *section) {
      if (stored.entry.path == path) return stored;
    }
  }
  throw Error(ErrorCode::kNotFound, "the backup has no entry " + path);
}

bool StoredBackup::Has(const std::string& path) const {
  return !ErrorOf([&] { (void)At(path); }).has_value();
}

std::vector<std::string> StoredBackup::FirstPaths() const {
  std::vector<std::string> paths;
  for (const StoredEntry& stored : first) paths.push_back(stored.entry.path);
  return paths;
}

StoredBackup ReadBackup(const Repository& repository, const std::string& backup_id) {
  const auto object = repository.store().Open(ManifestName(backup_id));
  if (object == nullptr) throw Error(ErrorCode::kNotFound, "no manifest");
  uint64_t offset = 0;
  ManifestReader reader([&] {
    Bytes bytes = object->ReadRange(offset, 100'000);
    offset += bytes.size();
    return bytes;
  });
  FrameSource frames(repository);
  StoredBackup backup;
  while (auto entry = reader.Next()) {
    Bytes content = ReadContent(&frames, *entry, reader.packs());
    EXPECT_EQ(content.size(), entry->size_bytes) << entry->path;
    const bool has_digest =
        entry->map.unit_bytes == 1 &&
        (entry->kind == EntryKind::kFile || entry->kind == EntryKind::kConfiguration);
    EXPECT_EQ(entry->content, has_digest ? Xxh3Digest(content) : Digest128()) << entry->path;
    auto& section = reader.in_second_section() ? backup.second : backup.first;
    section.push_back({*std::move(entry), std::move(content)});
  }
  backup.totals = reader.totals();
  return backup;
}

void ExpectSameTree(const StoredBackup& backup, const std::map<std::string, Bytes>& tree) {
  std::map<std::string, Bytes> stored;
  for (const StoredEntry& file : backup.first) {
    if (file.entry.kind == EntryKind::kFile) stored[file.entry.path] = file.content;
  }
  for (const auto& [path, content] : tree) {
    const auto found = stored.find(path);
    ASSERT_NE(found, stored.end()) << "missing: " << path;
    EXPECT_TRUE(found->second == content) << "differs: " << path;
  }
  EXPECT_EQ(stored.size(), tree.size());
}

BackupTest::BackupTest()
    : server(directory / "data"),
      repository(Repository::OpenOrCreate(directory / "repository", {kTestSystemIdentifier})),
      lock(WriterLock::Acquire(repository, "test")) {
  MakeDirectory(directory / "data");
  facts.data_directory = directory / "data";
  facts.version_directory = kTestVersionDirectory;
  facts.system_identifier = kTestSystemIdentifier;
  facts.wal_segment_bytes = kTestWalSegmentBytes;
  facts.data_checksums = true;
  options.backup_id = NewBackupId(Now());
  options.threads = 2;
  for (const char* path :
       {"base", "base/5", "global", "pg_wal", "pg_wal/archive_status", "pg_tblspc", "pg_xact"}) {
    MakeClusterDirectory(path);
  }
  Write("PG_VERSION", "15\n");
}

void BackupTest::Write(const std::string& path, ByteSpan content) const {
  const FileDescriptor file = OpenFile(Disk(path), O_WRONLY | O_CREAT | O_TRUNC);
  WriteAll(file.get(), content, path);
}

void BackupTest::MakeClusterDirectory(const std::string& path) const {
  std::filesystem::create_directories(Disk(path));
}

std::string BackupTest::Disk(const std::string& path) const {
  return JoinPath(facts.data_directory, path);
}

Bytes BackupTest::ReadDisk(const std::string& path) const {
  return ReadWholeFile(Disk(path), 1ULL << 32);
}

std::map<std::string, Bytes> BackupTest::ReadTree() const {
  std::map<std::string, Bytes> tree;
  const size_t prefix = facts.data_directory.size() + 1;
  for (const auto& found : std::filesystem::recursive_directory_iterator(facts.data_directory)) {
    const std::string path = found.path().string().substr(prefix);
    if (found.is_regular_file()) tree[path] = ReadDisk(path);
  }
  return tree;
}

std::unique_ptr<BackupRun> BackupTest::NewRun() {
  auto run = std::make_unique<BackupRun>(repository, facts, options, &server, &progress);
  run->PublishWalPosition(kTestWalPosition);
  return run;
}

StoredBackup BackupTest::Finish(BackupRun* run) {
  record.backup_id = options.backup_id;
  record.kind = "full";
  record.trigger = "manual";
  record.system_identifier = kTestSystemIdentifier;
  if (record.start_lsn == 0) record.start_lsn = kTestStartLsn;
  run->Finish(&record, *lock);
  damaged = run->damaged_pages();
  warnings = run->warnings();
  return ReadBackup(repository, options.backup_id);
}

StoredBackup BackupTest::Backup() {
  const auto run = NewRun();
  run->CopyCluster(kTestStartLsn);
  return Finish(run.get());
}

std::vector<std::string> BackupTest::ObjectNames() const {
  std::vector<std::string> names;
  for (const auto prefix : {kBackupsPrefix, kPacksPrefix}) {
    for (const ObjectInfo& object : repository.store().List(std::string(prefix))) {
      names.push_back(object.name);
    }
  }
  return names;
}

void BackupTest::ExpectNoObjects() const {
  EXPECT_THAT(ObjectNames(), testing::IsEmpty());
  const auto temporaries = ReadDirectory(directory / "repository/tmp");
  if (!temporaries) return;
  EXPECT_TRUE(temporaries->empty());
}

}  // namespace backup_ext
