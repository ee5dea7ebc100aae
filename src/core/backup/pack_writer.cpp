// Gathers frames into large appends, and appends into packs.
#include "backup/pack_writer.h"

#include <utility>

#include "format/pack.h"

namespace backup_ext {
namespace {

constexpr size_t kAppendBytes = 1024 * 1024;

}  // namespace

PackWriter::PackWriter(const Repository& repository, PackTable* packs, std::string backup_id,
                       uint32_t thread, int compression_level)
    : repository_(repository),
      packs_(packs),
      backup_id_(std::move(backup_id)),
      thread_(thread),
      encoder_(compression_level) {}

void PackWriter::Open() {
  const PackId pack{backup_id_, thread_, next_number_};
  object_ = repository_.store().Create(PackName(pack));
  buffer_ = EncodePackHeader({repository_.identity().system_identifier, pack});
  buffer_.reserve(kAppendBytes + kFramePlainLimitBytes + kFrameHeaderBytes);
  pack_ = packs_->Add(pack);
  ++next_number_;
}

FrameRef PackWriter::Write(ByteSpan plain) {
  if (object_ == nullptr) Open();
  const uint64_t offset_bytes = object_->size_bytes() + buffer_.size();
  FrameRef frame = encoder_.Encode(plain, &buffer_);
  frame.pack = pack_;
  frame.offset_bytes = offset_bytes;
  if (buffer_.size() >= kAppendBytes) Append();
  if (offset_bytes + frame.stored_bytes >= kPackTargetBytes) Close();
  return frame;
}

void PackWriter::Append() {
  object_->Append(buffer_);
  buffer_.clear();
}

void PackWriter::Close() {
  if (object_ == nullptr) return;
  Append();
  object_->Commit();
  packs_->Close(pack_, object_->size_bytes());
  object_.reset();
}

}  // namespace backup_ext
