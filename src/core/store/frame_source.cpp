// Reads frames of packs back, checked: what a restore and a verify stand on.
#include "store/frame_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "format/names.h"

namespace backup_ext {
namespace {

// A file is read in page order, and its pages come from a few generations (3-repository.md): with
// one frame of each in hand, each is decoded once.
constexpr size_t kFrameLimit = 16;
constexpr size_t kReaderLimit = 16;
constexpr int kReadAttempts = 2;

struct CachedFrame {
  PackId pack;
  FrameRef frame;  // its index `pack` means nothing here
  Bytes plain;
  uint64_t last_used = 0;
};

struct OpenPack {
  PackId pack;
  std::unique_ptr<ObjectReader> reader;
  uint64_t last_used = 0;
};

bool IsSameFrame(const FrameRef& a, const FrameRef& b) {
  return a.offset_bytes == b.offset_bytes && a.stored_bytes == b.stored_bytes &&
         a.plain_bytes == b.plain_bytes && a.digest == b.digest;
}

// The place for one more: a new one while there are fewer than `limit`, else the one that was not
// used for longest. Its old content is free to be overwritten.
template <typename Entry>
Entry& PlaceForOneMore(std::vector<Entry>* entries, size_t limit) {
  if (entries->size() < limit) return entries->emplace_back();
  return *std::ranges::min_element(*entries, {}, &Entry::last_used);
}

[[noreturn]] void ThrowUnreadable(ErrorCode code, const FrameRef& frame, const PackId& pack,
                                  std::string_view problem) {
  throw Error(code,
              fmt::format("could not read frame at offset {} of pack \"{}\": {}",
                          frame.offset_bytes, PackName(pack), problem),
              fmt::format("The pack was written by backup \"{}\".", pack.backup_id));
}

}  // namespace

struct FrameSource::State {
  explicit State(const Repository& the_repository) : repository(&the_repository) {}

  // Empty when the bytes were read and are what they must be, else the problem.
  std::string TryRead(const FrameRef& frame, const PackId& pack, Bytes* plain);
  // The reader of a pack whose header was checked. Null with `*problem` set.
  ObjectReader* FindReader(const PackId& pack, std::string* problem);
  std::string CheckHeader(ObjectReader* reader, const PackId& pack);

  const Repository* repository;  // outlives the source
  FrameDecoder decoder;
  Bytes stored;
  std::vector<CachedFrame> frames;
  std::vector<OpenPack> readers;
  uint64_t clock = 0;
};

std::string FrameSource::State::CheckHeader(ObjectReader* reader, const PackId& pack) {
  const std::optional<PackHeader> header = DecodePackHeader(reader->ReadRange(0, kPackHeaderBytes));
  if (!header) return "the pack has no sound header";
  const uint64_t expected = repository->identity().system_identifier;
  if (header->system_identifier != expected) {
    return fmt::format("the pack belongs to system identifier {}, not {}",
                       header->system_identifier, expected);
  }
  if (header->pack != pack) {
    return fmt::format("the pack's header is that of \"{}\"", PackName(header->pack));
  }
  return {};
}

ObjectReader* FrameSource::State::FindReader(const PackId& pack, std::string* problem) {
  const auto found = std::ranges::find(readers, pack, &OpenPack::pack);
  if (found != readers.end()) {
    found->last_used = ++clock;
    return found->reader.get();
  }
  std::unique_ptr<ObjectReader> reader = repository->store().Open(PackName(pack));
  if (reader == nullptr) {
    *problem = "the pack does not exist";
    return nullptr;
  }
  *problem = CheckHeader(reader.get(), pack);
  if (!problem->empty()) return nullptr;
  OpenPack& place = PlaceForOneMore(&readers, kReaderLimit);
  place = {pack, std::move(reader), ++clock};
  return place.reader.get();
}

std::string FrameSource::State::TryRead(const FrameRef& frame, const PackId& pack, Bytes* plain) {
  if (frame.offset_bytes < kPackHeaderBytes || frame.stored_bytes < kFrameHeaderBytes ||
      frame.stored_bytes > kFrameHeaderBytes + kFramePlainLimitBytes) {
    return "the manifest gives it a place or a length that no frame has";
  }
  if (!IsBackupId(pack.backup_id)) return "the manifest gives it a pack that cannot be";
  std::string problem;
  ObjectReader* reader = FindReader(pack, &problem);
  if (reader == nullptr) return problem;
  reader->ReadRangeInto(frame.offset_bytes, frame.stored_bytes, &stored);
  const FrameProblem found = decoder.Decode(stored, frame, plain);
  return found == FrameProblem::kNone ? std::string() : Describe(found);
}

FrameSource::FrameSource(const Repository& repository)
    : state_(std::make_unique<State>(repository)) {}
FrameSource::~FrameSource() = default;
FrameSource::FrameSource(FrameSource&&) noexcept = default;

ByteSpan FrameSource::Read(const FrameRef& frame, const PackId& pack) {
  std::vector<CachedFrame>& frames = state_->frames;
  const auto found = std::ranges::find_if(frames, [&](const CachedFrame& cached) {
    return IsSameFrame(cached.frame, frame) && cached.pack == pack;
  });
  if (found != frames.end()) {
    found->last_used = ++state_->clock;
    return found->plain;
  }

  CachedFrame& place = PlaceForOneMore(&frames, kFrameLimit);
  // Until it holds what it says, it must not be found: a reference to no frame matches nothing.
  place.frame = FrameRef();
  place.pack = PackId();
  place.last_used = 0;
  std::string problem;
  ErrorCode code = ErrorCode::kDamaged;
  for (int attempt = 0; attempt < kReadAttempts; attempt++) {
    try {
      problem = state_->TryRead(frame, pack, &place.plain);
      code = ErrorCode::kDamaged;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kIo && error.code() != ErrorCode::kDamaged) throw;
      problem = error.message();
      code = error.code();
    }
    if (problem.empty()) {
      place.frame = frame;
      place.pack = pack;
      place.last_used = ++state_->clock;
      return place.plain;
    }
  }
  ThrowUnreadable(code, frame, pack, problem);
}

}  // namespace backup_ext
