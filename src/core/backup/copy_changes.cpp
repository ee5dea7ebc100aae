// Two looks at a part of a file: which pages changed, then those pages.
#include "backup/copy_changes.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "backup/copy_file.h"
#include "backup/page_plan.h"
#include "base/file.h"
#include "format/frame.h"

namespace backup_ext {
namespace {

class ChangesCopier {
 public:
  ChangesCopier(CopyEnvironment* environment, Worker* worker, const SourceFile& source,
                const ParentFile& parent, const PageProof& proof, uint64_t first, uint64_t end)
      : environment_(environment),
        worker_(worker),
        source_(source),
        parent_(parent),
        proof_(proof),
        page_bytes_(environment->facts.block_bytes),
        plan_(parent, first, end - first) {}

  bool Copy(PageMap* map, DamageList* damage) {
    if (proof_.kind == PageProof::Kind::kNamed) {
      KeepUnnamed();
    } else if (!KeepByLsn()) {
      return false;
    }
    plan_.Gather(environment_->dying_packs,
                 [this](uint32_t pack) { return environment_->packs->GenerationOf(pack); });
    if (proof_.kind == PageProof::Kind::kNamed) CountKept();
    if (!StorePages(damage)) return false;
    *map = plan_.Finish();
    for (const uint32_t page : visible_) map->all_visible[page / 8] |= std::byte{1} << (page % 8);
    return true;
  }

 private:
  // Counted in the part: pages of it that the parent may stand for.
  [[nodiscard]] uint64_t KeepableEnd() const {
    if (proof_.pages_limit <= plan_.first()) return 0;
    return std::min(plan_.count(), proof_.pages_limit - plan_.first());
  }

  void KeepUnnamed() {
    auto named = std::ranges::lower_bound(proof_.named, plan_.first());
    const uint64_t end = KeepableEnd();
    for (uint64_t page = 0; page < end; ++page) {
      if (named != proof_.named.end() && *named == plan_.first() + page) {
        ++named;
      } else {
        plan_.Keep(page);
      }
    }
  }

  // What is not read is done with; the pages to be stored are counted when they are.
  void CountKept() {
    uint64_t kept = 0;
    for (uint64_t page = 0; page < plan_.count(); ++page) kept += plan_.is_kept(page) ? 1 : 0;
    environment_->progress->bytes_done += kept * page_bytes_;
  }

  // A page that is being written while it is read may look old: then replay begins with a full
  // image of it, whatever the backup holds.
  bool KeepByLsn() {
    const std::string& path = *source_.readable().disk_path;
    const uint64_t end = KeepableEnd();
    const uint32_t segment_first = source_.readable().segment * environment_->facts.segment_blocks;
    const uint64_t pages_a_read = kFramePlainLimitBytes / page_bytes_;
    for (uint64_t page = 0; page < end; page += pages_a_read) {
      if (environment_->stop) return false;
      const auto count = static_cast<size_t>(std::min(pages_a_read, end - page) * page_bytes_);
      environment_->AwaitTurn(count);
      const std::span<std::byte> buffer = std::span(worker_->buffer).first(count);
      const size_t read = ReadAt(source_.readable().fd, buffer.data(), count,
                                 (plan_.first() + page) * page_bytes_, path);
      for (size_t i = 0; (i + 1) * page_bytes_ <= read; ++i) {
        const uint64_t at = plan_.first() + page + i;
        if (IsPageOfParent(buffer.subspan(i * page_bytes_, page_bytes_),
                           segment_first + static_cast<uint32_t>(at),
                           WasAllVisible(parent_.entry.map, at), parent_, environment_->facts)) {
          plan_.Keep(page + i);
        }
      }
      environment_->progress->bytes_done += count;
    }
    bytes_counted_ = end * page_bytes_;
    return true;
  }

  bool StorePages(DamageList* damage) {
    const std::vector<uint32_t> pages = plan_.PagesToStore();
    const size_t pages_a_frame = kFramePlainLimitBytes / page_bytes_;
    for (size_t begin = 0; begin < pages.size(); begin += pages_a_frame) {
      const auto frame =
          std::span(pages).subspan(begin).first(std::min(pages_a_frame, pages.size() - begin));
      if (!StoreFrame(frame, damage)) return false;
    }
    return true;
  }

  bool StoreFrame(std::span<const uint32_t> pages, DamageList* damage) {
    const std::span<std::byte> plain = std::span(worker_->buffer).first(pages.size() * page_bytes_);
    environment_->AwaitTurn(plain.size());
    for (size_t i = 0; i < pages.size();) {
      size_t count = 1;
      while (i + count < pages.size() && pages[i + count] == pages[i] + count) ++count;
      worker_->pages.Read(source_.readable(), (plan_.first() + pages[i]) * page_bytes_,
                          plain.subspan(i * page_bytes_, count * page_bytes_), damage);
      if (environment_->stop) return false;
      i += count;
    }
    Bytes bits;
    AppendVisibility(plain, page_bytes_, 0, &bits);
    for (size_t i = 0; i < pages.size(); ++i) {
      if ((bits[i / 8] >> (i % 8) & std::byte{1}) != std::byte{0}) visible_.push_back(pages[i]);
      if (pages[i] * uint64_t{page_bytes_} >= bytes_counted_) {
        environment_->progress->bytes_done += page_bytes_;
      }
    }
    plan_.Place(worker_->packs.Write(plain), pages.size());
    return true;
  }

  CopyEnvironment* environment_;
  Worker* worker_;
  const SourceFile& source_;
  const ParentFile& parent_;
  const PageProof& proof_;
  const uint32_t page_bytes_;
  PagePlan plan_;
  std::vector<uint32_t> visible_;  // stored pages that have the flag
  uint64_t bytes_counted_ = 0;     // of the part's begin, for the progress
};

}  // namespace

bool CopyChanges(CopyEnvironment* environment, Worker* worker, const SourceFile& source,
                 const ParentFile& parent, const PageProof& proof, uint64_t first, uint64_t end,
                 PageMap* map, DamageList* damage) {
  return ChangesCopier(environment, worker, source, parent, proof, first, end).Copy(map, damage);
}

bool AreAllPagesOfParent(ByteSpan pages, const SourceFile& source, const ParentFile& parent,
                         const ClusterFacts& facts) {
  if (pages.size() != parent.entry.size_bytes || parent.uses_dying_pack) return false;
  const uint32_t first_block = source.readable().segment * facts.segment_blocks;
  for (size_t i = 0; i * facts.block_bytes < pages.size(); ++i) {
    if (!IsPageOfParent(pages.subspan(i * facts.block_bytes, facts.block_bytes),
                        first_block + static_cast<uint32_t>(i), WasAllVisible(parent.entry.map, i),
                        parent, facts)) {
      return false;
    }
  }
  return true;
}

}  // namespace backup_ext
