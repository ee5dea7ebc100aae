// Reads a manifest: stored bytes into frames, their plain bytes into entries. Trusts nothing.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "format/manifest.h"
#include "format/manifest_entry.h"

namespace backup_ext {
namespace {

constexpr size_t kVarintLimitBytes = 10;

// Bytes that come at one end and are used up from the other.
class ByteQueue {
 public:
  [[nodiscard]] ByteSpan bytes() const { return ByteSpan(buffer_).subspan(used_); }
  void Consume(size_t count) { used_ += count; }
  void Append(ByteSpan bytes) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(used_));
    used_ = 0;
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }

 private:
  Bytes buffer_;
  size_t used_ = 0;
};

}  // namespace

struct ManifestReader::State {
  explicit State(Source stored_source) : source(std::move(stored_source)) {}

  Source source;
  FrameDecoder decoder;
  ByteQueue stored;
  ByteQueue plain;
  Bytes frame;  // reused
  ManifestHeader header;
  ManifestPosition position;
  std::vector<PackId> packs;
  bool ended = false;

  // Appends the source's next bytes to `stored`; false at its end.
  bool FillStored();
  // Appends one frame's bytes to `plain`; false at the end of the stream.
  bool FillPlain();
  // Takes an entry's bytes from `plain`; valid until the next call.
  ByteSpan TakeEntry();
  void End(const ManifestTotals& totals);
};

bool ManifestReader::State::FillStored() {
  const Bytes chunk = source();
  stored.Append(chunk);
  return !chunk.empty();
}

bool ManifestReader::State::FillPlain() {
  size_t consumed = 0;
  FrameProblem problem = decoder.DecodeNext(stored.bytes(), &frame, &consumed);
  while (problem == FrameProblem::kTooShort && FillStored()) {
    problem = decoder.DecodeNext(stored.bytes(), &frame, &consumed);
  }
  if (problem == FrameProblem::kTooShort && stored.bytes().empty()) {
    return false;
  }
  if (problem == FrameProblem::kUnsupported) {
    throw Error(ErrorCode::kUnsupportedFormat,
                fmt::format("cannot read manifest: {}", Describe(problem)));
  }
  if (problem != FrameProblem::kNone) {
    ThrowDamagedManifest(Describe(problem));
  }
  stored.Consume(consumed);
  plain.Append(frame);
  return true;
}

ByteSpan ManifestReader::State::TakeEntry() {
  const auto has_length = [this] {
    const ByteSpan start = plain.bytes().first(std::min(plain.bytes().size(), kVarintLimitBytes));
    return start.size() == kVarintLimitBytes ||
           std::any_of(start.begin(), start.end(),
                       [](std::byte byte) { return (byte & std::byte{0x80}) == std::byte{0}; });
  };
  while (!has_length()) {
    if (!FillPlain()) {
      ThrowDamagedManifest("ends early");
    }
  }
  ByteReader in(plain.bytes(), "manifest entry");
  const uint64_t length = in.GetVarint();
  if (length == 0 || length > kManifestEntryLimitBytes) {
    ThrowDamagedManifest("entry of impossible length");
  }
  plain.Consume(plain.bytes().size() - in.remaining());
  while (plain.bytes().size() < length) {
    if (!FillPlain()) {
      ThrowDamagedManifest("ends early");
    }
  }
  const ByteSpan entry = plain.bytes().first(static_cast<size_t>(length));
  plain.Consume(entry.size());
  return entry;
}

void ManifestReader::State::End(const ManifestTotals& totals) {
  if (totals != position.totals) {
    ThrowDamagedManifest("totals do not match the entries");
  }
  if (!plain.bytes().empty() || FillPlain()) {
    ThrowDamagedManifest("bytes after its end");
  }
  ended = true;
}

ManifestReader::ManifestReader(Source source) : state_(std::make_unique<State>(std::move(source))) {
  ByteReader in(state_->TakeEntry(), "manifest header");
  if (in.GetU8() != static_cast<uint8_t>(ManifestEntryType::kHeader)) {
    ThrowDamagedManifest("does not begin with its header");
  }
  state_->header = GetManifestHeader(&in);
  if (!in.AtEnd()) {
    ThrowDamagedManifest("header is longer than its fields");
  }
  state_->position.Begin(state_->header);
}

ManifestReader::~ManifestReader() = default;

const ManifestHeader& ManifestReader::header() const { return state_->header; }

std::optional<ManifestEntry> ManifestReader::Next() {
  while (!state_->ended) {
    ByteReader in(state_->TakeEntry(), "manifest entry");
    const uint8_t type = in.GetU8();
    std::optional<ManifestEntry> entry;
    std::optional<ManifestTotals> totals;
    if (type >= static_cast<uint8_t>(EntryKind::kDirectory) &&
        type <= static_cast<uint8_t>(EntryKind::kHardLink)) {
      entry = GetManifestEntry(static_cast<EntryKind>(type), &in);
      state_->position.Advance(*entry);
    } else if (type == static_cast<uint8_t>(ManifestEntryType::kPack)) {
      state_->packs.push_back(GetManifestPack(&in));
      state_->position.packs = state_->packs.size();
      if (state_->packs.size() > kManifestPackLimit) {
        ThrowDamagedManifest("too many packs");
      }
    } else if (type == static_cast<uint8_t>(ManifestEntryType::kSecondSection)) {
      state_->position.BeginSecondSection();
    } else if (type == static_cast<uint8_t>(ManifestEntryType::kEnd)) {
      totals = GetManifestTotals(&in);
    } else {
      ThrowDamagedManifest("unknown type of entry");
    }
    if (!in.AtEnd()) {
      ThrowDamagedManifest("entry is longer than its fields");
    }
    if (totals) {
      state_->End(*totals);
    }
    if (entry) {
      return entry;
    }
  }
  return std::nullopt;
}

bool ManifestReader::in_second_section() const { return state_->position.in_second_section; }
const std::vector<PackId>& ManifestReader::packs() const { return state_->packs; }

const ManifestTotals& ManifestReader::totals() const {
  if (!state_->ended) {
    throw Error(ErrorCode::kInternal, "manifest was not read to its end");
  }
  return state_->position.totals;
}

}  // namespace backup_ext
