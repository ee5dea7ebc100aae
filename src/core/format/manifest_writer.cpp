// Writes a manifest: entries into a buffer, the buffer into frames.
#include <fmt/core.h>

#include <utility>

#include "base/error.h"
#include "format/manifest.h"
#include "format/manifest_entry.h"

namespace backup_ext {

struct ManifestWriter::State {
  State(int level, Sink frame_sink) : encoder(level), sink(std::move(frame_sink)) {}

  FrameEncoder encoder;
  Sink sink;
  ManifestPosition position;
  std::map<PackId, uint32_t> packs;
  bool finished = false;
  Bytes plain;       // not yet in a frame; less than one between calls
  ByteWriter entry;  // reused
  Bytes frame;       // reused

  // Calls what a reader would find at fault, before it is written.
  template <typename Check>
  void CheckAsReader(Check check);
  void CheckOpen() const;
  // Moves `entry` to `plain` and cuts frames.
  void PutEntry();
  void PutFrame(ByteSpan bytes);
};

template <typename Check>
void ManifestWriter::State::CheckAsReader(Check check) {
  CheckOpen();
  try {
    check();
  } catch (const Error& error) {
    throw Error(ErrorCode::kInternal, error.message());
  }
}

void ManifestWriter::State::CheckOpen() const {
  if (finished) {
    throw Error(ErrorCode::kInternal, "manifest is finished");
  }
}

void ManifestWriter::State::PutEntry() {
  if (entry.size() > kManifestEntryLimitBytes) {
    throw Error(ErrorCode::kInternal,
                fmt::format("manifest entry of {} bytes is too large", entry.size()));
  }
  ByteWriter length;
  length.PutVarint(entry.size());
  plain.insert(plain.end(), length.bytes().begin(), length.bytes().end());
  plain.insert(plain.end(), entry.bytes().begin(), entry.bytes().end());
  entry.Clear();

  size_t done = 0;
  for (; plain.size() - done >= kFramePlainLimitBytes; done += kFramePlainLimitBytes) {
    PutFrame(ByteSpan(plain).subspan(done, kFramePlainLimitBytes));
  }
  plain.erase(plain.begin(), plain.begin() + static_cast<ptrdiff_t>(done));
}

void ManifestWriter::State::PutFrame(ByteSpan bytes) {
  frame.clear();
  static_cast<void>(encoder.Encode(bytes, &frame));
  sink(frame);
}

ManifestWriter::ManifestWriter(const ManifestHeader& header, int compression_level, Sink sink)
    : state_(std::make_unique<State>(compression_level, std::move(sink))) {
  state_->CheckAsReader([&] { state_->position.Begin(header); });
  PutManifestHeader(header, &state_->entry);
  state_->PutEntry();
}

ManifestWriter::~ManifestWriter() = default;

uint32_t ManifestWriter::PackIndex(const PackId& pack) {
  const auto found = state_->packs.find(pack);
  if (found != state_->packs.end()) {
    return found->second;
  }
  state_->CheckOpen();
  if (!IsBackupId(pack.backup_id) || state_->packs.size() >= kManifestPackLimit) {
    throw Error(ErrorCode::kInternal, "manifest cannot name another pack");
  }
  const auto index = static_cast<uint32_t>(state_->packs.size());
  state_->packs.emplace(pack, index);
  state_->position.packs = state_->packs.size();
  PutManifestPack(pack, &state_->entry);
  state_->PutEntry();
  return index;
}

void ManifestWriter::Add(const ManifestEntry& entry) {
  state_->CheckAsReader([&] { state_->position.Advance(entry); });
  PutManifestEntry(entry, &state_->entry);
  state_->PutEntry();
}

void ManifestWriter::BeginSecondSection() {
  state_->CheckAsReader([&] { state_->position.BeginSecondSection(); });
  state_->entry.PutU8(static_cast<uint8_t>(ManifestEntryType::kSecondSection));
  state_->PutEntry();
}

ManifestTotals ManifestWriter::Finish() {
  state_->CheckOpen();
  PutManifestTotals(state_->position.totals, &state_->entry);
  state_->PutEntry();
  state_->finished = true;
  if (!state_->plain.empty()) {
    state_->PutFrame(state_->plain);
  }
  return state_->position.totals;
}

}  // namespace backup_ext
