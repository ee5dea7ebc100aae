// One parent's manifest, read in step with a scan.
#include "backup/parent_stream.h"

#include <limits>
#include <utility>

#include "base/error.h"

namespace backup_ext {
namespace {

constexpr uint32_t kNoIndex = std::numeric_limits<uint32_t>::max();

}  // namespace

ParentStream::ParentStream(std::unique_ptr<ManifestReader> reader, const BackupRecord& record,
                           PackTable* packs)
    : start_lsn_(record.start_lsn), packs_(packs), reader_(std::move(reader)) {
  for (const PackUse& use : record.packs) sizes_[use.pack] = use.size_bytes;
  Advance();
}

void ParentStream::Seek(const std::string& path) {
  while (current_ && current_->path < path) Advance();
}

std::optional<ParentFile> ParentStream::Take(const std::string& path,
                                             const DyingPacks& dying_packs) {
  if (!current_ || current_->path != path || current_->kind != EntryKind::kFile) {
    return std::nullopt;
  }
  ParentFile file{std::move(*current_), start_lsn_, false};
  // Found once; its place in the order stays.
  current_ = ManifestEntry();
  current_->path = path;
  current_->kind = EntryKind::kRemoved;
  for (FrameRef& frame : file.entry.map.frames) {
    frame.pack = TableIndex(frame.pack);
    file.uses_dying_pack |= IsDying(dying_packs, frame);
  }
  return file;
}

ManifestEntry ParentStream::TakeCurrent() {
  ManifestEntry entry = std::move(*current_);
  for (FrameRef& frame : entry.map.frames) frame.pack = TableIndex(frame.pack);
  Advance();
  return entry;
}

void ParentStream::Advance() {
  current_ = reader_->Next();
  if (current_ && reader_->in_second_section()) current_.reset();
}

uint32_t ParentStream::TableIndex(uint32_t pack) {
  if (pack >= indexes_.size()) indexes_.resize(reader_->packs().size(), kNoIndex);
  uint32_t& index = indexes_.at(pack);
  if (index != kNoIndex) return index;
  const PackId& id = reader_->packs().at(pack);
  if (const auto known = packs_->IndexOf(id)) {
    index = *known;
    return index;
  }
  const auto size = sizes_.find(id);
  if (size == sizes_.end()) {
    throw Error(ErrorCode::kDamaged, "the record of the parent does not list all of its packs");
  }
  index = packs_->AddEarlier(id, size->second);
  return index;
}

}  // namespace backup_ext
