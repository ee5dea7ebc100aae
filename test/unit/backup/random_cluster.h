// A cluster directory that changes at random, by PostgreSQL's rules of what WAL tells of a change.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backup/backup_run.h"
#include "base/bytes.h"
#include "cluster/changed_blocks.h"

namespace backup_ext {

// What is in the place of hint bits: it changes without WAL, and either content is right.
inline constexpr size_t kTestHintOffset = 5000;
inline constexpr size_t kTestHintBytes = 8;

// Every page is on disk right after its change, as after a checkpoint.
class RandomCluster {
 public:
  // `facts` must outlive it; pg_tblspc/16399 is a tablespace below `space_directory`.
  RandomCluster(const ClusterFacts& facts, const std::string& space_directory, uint64_t seed);

  void Change();
  void Change(size_t times) {
    for (; times > 0; --times) Change();
  }
  // A start of a backup, say. Everything before has lesser LSNs, everything after greater ones.
  [[nodiscard]] uint64_t NextLsn() { return lsn_ += 16; }
  [[nodiscard]] uint64_t Random(uint64_t below) { return random_() % below; }

  // What changes from here on is replayed over a backup that starts here.
  void ForgetTouched() {
    touched_pages_.clear();
    touched_files_.clear();
  }
  [[nodiscard]] bool WasTouched(const std::string& path) const {
    return touched_files_.contains(path);
  }
  [[nodiscard]] bool WasTouched(const std::string& path, uint64_t page) const {
    return WasTouched(path) || touched_pages_.contains({path, page});
  }
  [[nodiscard]] bool WasAnyPageTouched(const std::string& path) const {
    const auto page = touched_pages_.lower_bound({path, 0});
    return page != touched_pages_.end() && page->first == path;
  }

  // What the summarizer writes down of `from` up to, not with, `to`: no more than it must.
  // Source: src/common/blkreftable.c, src/backend/postmaster/walsummarizer.c.
  [[nodiscard]] ChangedBlocks Summarize(uint64_t from, uint64_t to) const;

 private:
  enum class Age { kNew, kOld, kZero };
  struct Relation {
    std::string directory;
    uint32_t number = 0;
  };
  struct Event {
    uint64_t lsn = 0;
    RelationFork fork;
    uint32_t limit_block = ForkChanges::kNoLimit;
    std::vector<uint32_t> blocks;
  };

  [[nodiscard]] Relation AnyRelation();
  [[nodiscard]] std::string Disk(const std::string& path) const;
  [[nodiscard]] std::string SegmentPath(const Relation& relation, uint64_t segment) const;
  [[nodiscard]] uint64_t PagesOf(const std::string& path) const;
  [[nodiscard]] uint64_t Blocks(const Relation& relation) const;
  [[nodiscard]] RelationFork ForkOf(const Relation& relation) const;
  [[nodiscard]] Bytes MakeRandomPage(uint32_t block, uint64_t lsn);
  void WriteBlock(const Relation& relation, uint64_t block, Bytes page);
  [[nodiscard]] Bytes ReadBlock(const Relation& relation, uint64_t block) const;
  void Log(uint64_t lsn, const Relation& relation, uint32_t limit, std::vector<uint32_t> blocks);
  void TouchRelation(const Relation& relation);

  void ModifyPages(const Relation& relation);
  void SwitchVisible(const Relation& relation);
  void SetHints(const Relation& relation);
  void Extend(const Relation& relation, uint64_t pages, Age age);
  void Truncate(const Relation& relation, uint64_t blocks);
  void Drop(const Relation& relation);
  void Recreate(const Relation& relation);
  void RenameOver(const Relation& relation);
  void ReplaceDatabase();
  void ChangeMaps(const Relation& relation);
  void ChangePlainFile();
  void TearExtension(const Relation& relation);
  void HideByTimes(const Relation& relation);

  const ClusterFacts& facts_;
  std::mt19937_64 random_;
  uint64_t lsn_ = 0x100000;
  std::vector<std::string> databases_;
  std::vector<Event> events_;
  std::set<std::pair<std::string, uint64_t>> touched_pages_;
  std::set<std::string> touched_files_;
};

// With what may differ set to zero.
[[nodiscard]] Bytes WithoutHints(ByteSpan page);

}  // namespace backup_ext
