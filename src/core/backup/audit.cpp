// A fresh full backup looks whether what an incremental one would have believed is true.
#include "backup/audit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "cluster/page.h"

namespace backup_ext {
namespace {

constexpr size_t kNamedFindings = 10;
constexpr size_t kOpenPacks = 16;

}  // namespace

void AuditFindings::Add(const std::string& path, uint64_t page) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++count_;
  if (first_.size() < kNamedFindings) first_.push_back(fmt::format("{} block {}", path, page));
}

uint64_t AuditFindings::count() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return count_;
}

std::string AuditFindings::Describe() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (count_ == 0) return {};
  return fmt::format("{} {}: {}{}", count_, count_ == 1 ? "page differs" : "pages differ",
                     fmt::join(first_, ", "), count_ > first_.size() ? ", ..." : "");
}

Auditor::Auditor(const AuditSetup& setup) : setup_(setup), frames_(*setup.repository, kOpenPacks) {}

void FillClaim(const AuditSetup& setup, const ScannedEntry& scanned, const ManifestEntry& now,
               AuditedFile* file) {
  file->is_whole = IsWholeFileUnchanged(scanned, file->parent, *setup.facts, setup.rules);
  file->proof = ChoosePageProof(scanned, now, file->parent, *setup.facts, setup.rules);
}

bool Auditor::IsClaimed(const AuditedFile& file, const ReadableFile& readable, uint64_t page,
                        ByteSpan bytes) const {
  if (file.is_whole) return true;
  if (page >= file.proof.pages_limit) return false;
  switch (file.proof.kind) {
    case PageProof::Kind::kNone:
      return false;
    case PageProof::Kind::kNamed:
      return !std::ranges::binary_search(file.proof.named, page);
    case PageProof::Kind::kPageLsn:
      return IsPageOfParent(
          bytes, readable.segment * setup_.facts->segment_blocks + static_cast<uint32_t>(page),
          WasAllVisible(file.parent.entry.map, page), file.parent, *setup_.facts);
  }
  return false;
}

void Auditor::Check(const AuditedFile& file, const ReadableFile& readable, uint64_t first,
                    ByteSpan pages) {
  const uint32_t page_bytes = setup_.facts->block_bytes;
  for (size_t at = 0; at + page_bytes <= pages.size(); at += page_bytes) {
    const uint64_t page = first + at / page_bytes;
    const ByteSpan bytes = pages.subspan(at, page_bytes);
    const uint64_t lsn = PageView(bytes).lsn();
    // Changed since this backup began: replay brings that to whichever page was taken.
    if (lsn >= setup_.start_lsn || !IsClaimed(file, readable, page, bytes)) continue;
    const std::optional<uint64_t> before = LsnInParent(file, page);
    if (before && *before != lsn) setup_.findings->Add(std::string(readable.path), page);
  }
}

std::optional<uint64_t> Auditor::LsnInParent(const AuditedFile& file, uint64_t page) {
  const PageMap& map = file.parent.entry.map;
  // By number: another file may lie where one that is done with lay in memory.
  if (file_ != file.number || page < run_begin_) {
    file_ = file.number;
    run_ = 0;
    run_begin_ = 0;
    frames_.BeginFile(map);
  }
  while (run_ < map.runs.size() && page >= run_begin_ + map.runs[run_].units) {
    run_begin_ += map.runs[run_++].units;
  }
  if (run_ >= map.runs.size()) return std::nullopt;
  const PageRun& run = map.runs[run_];
  try {
    const FrameRef& frame = map.frames.at(run.frame);
    frames_.SkipTo(run_);
    const ByteSpan plain = frames_.Read(frame, setup_.packs->Find(frame.pack));
    const uint64_t unit = run.first_unit + (page - run_begin_);
    return PageView(plain.subspan(unit * map.unit_bytes, map.unit_bytes)).lsn();
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace backup_ext
