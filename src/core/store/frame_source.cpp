// Reads frames of packs back, checked: what a restore and a verify stand on.
#include "store/frame_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "format/names.h"

namespace backup_ext {
namespace {

// While no frame is waited for, these few stay in hand: small files share them.
constexpr size_t kFramesInHand = 8;
// One of each generation that a file's pages come from: 64 of full size or 256 small ones
// (page_plan.h), and some room.
constexpr size_t kMostFramesInHand = 288;
constexpr uint64_t kMostBytesInHand = 72 * kFramePlainLimitBytes;
constexpr size_t kOpenPacksOfAll = 600;
constexpr size_t kFewestOpenPacks = 4;
constexpr int kReadAttempts = 2;

struct FrameInHand {
  PackId pack;
  FrameRef frame;  // its index `pack` means nothing here
  Bytes plain;
  uint64_t last_used = 0;
  uint64_t needed_until = 0;  // the last moment when this file asks for it; 0: not known to be
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

// For each run the number of the last run that needs its frame. Empty when no frame is needed again
// once another one was.
std::vector<uint32_t> LastRunsOfFrames(const PageMap& map) {
  constexpr uint32_t kNoRun = UINT32_MAX;
  std::vector<uint32_t> last_runs(map.frames.size(), kNoRun);
  bool comes_back = false;
  for (uint32_t run = 0; run < map.runs.size(); run++) {
    const uint32_t frame = map.runs[run].frame;
    if (frame >= last_runs.size()) return {};  // whoever reads it says so
    comes_back = comes_back || (last_runs[frame] != kNoRun && last_runs[frame] + 1 != run);
    last_runs[frame] = run;
  }
  if (!comes_back) return {};
  std::vector<uint32_t> result(map.runs.size());
  for (size_t run = 0; run < map.runs.size(); run++) result[run] = last_runs[map.runs[run].frame];
  return result;
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
  State(const Repository& the_repository, size_t most_open_packs)
      : repository(&the_repository), open_packs(most_open_packs) {}

  // Null when it is not in hand.
  FrameInHand* Find(const FrameRef& frame, const PackId& pack);
  // An empty place for a frame of so many plain bytes.
  FrameInHand& MakePlace(uint64_t plain_bytes);
  [[nodiscard]] uint64_t BytesInHand() const;
  // Empty when the bytes were read and are what they must be, else the problem.
  std::string TryRead(const FrameRef& frame, const PackId& pack, Bytes* plain);
  // The reader of a pack whose header was checked. Null with `*problem` set.
  ObjectReader* FindReader(const PackId& pack, std::string* problem);
  std::unique_ptr<ObjectReader> Open(const PackId& pack, std::string* problem);
  std::string CheckHeader(ObjectReader* reader, const PackId& pack);
  // Reads it into `*place`, or throws.
  void Fetch(const FrameRef& frame, const PackId& pack, FrameInHand* place);

  const Repository* repository;  // outlives the source
  const size_t open_packs;
  FrameDecoder decoder;
  Bytes stored;
  std::vector<FrameInHand> frames;
  size_t latest = 0;  // index of the frame that was asked for last
  std::vector<OpenPack> readers;
  std::map<PackId, std::string> lost_packs;  // and why
  uint64_t clock = 0;                        // counts the calls of Read()
  // The file's plan: the run that comes next, and LastRunsOfFrames().
  std::vector<uint32_t> last_runs;
  uint64_t file_began = 0;
  uint64_t frames_decoded = 0;
  uint64_t bytes_decoded = 0;
};

FrameInHand* FrameSource::State::Find(const FrameRef& frame, const PackId& pack) {
  const auto is_it = [&](const FrameInHand& in_hand) {
    return IsSameFrame(in_hand.frame, frame) && in_hand.pack == pack;
  };
  if (latest < frames.size() && is_it(frames[latest])) return &frames[latest];
  const auto found = std::ranges::find_if(frames, is_it);
  return found == frames.end() ? nullptr : &*found;
}

uint64_t FrameSource::State::BytesInHand() const {
  uint64_t bytes = 0;
  for (const FrameInHand& in_hand : frames) bytes += in_hand.plain.capacity();
  return bytes;
}

FrameInHand& FrameSource::State::MakePlace(uint64_t plain_bytes) {
  latest = SIZE_MAX;
  Bytes buffer;
  for (;;) {
    const bool is_full =
        frames.size() >= kMostFramesInHand || BytesInHand() + plain_bytes > kMostBytesInHand;
    if (frames.empty() || (!is_full && frames.size() < kFramesInHand)) break;
    // First what nobody waits for, of that the one that was used longest ago.
    const auto goes = std::ranges::min_element(frames, {}, [this](const FrameInHand& in_hand) {
      return std::pair(in_hand.needed_until >= clock, in_hand.last_used);
    });
    if (!is_full && goes->needed_until >= clock) break;
    buffer = std::move(goes->plain);
    *goes = std::move(frames.back());
    frames.pop_back();
    if (!is_full) break;
  }
  // A buffer of another size would grow to twice its size, or be more than its frame counts for.
  if (buffer.capacity() != plain_bytes) buffer = Bytes();
  frames.emplace_back().plain = std::move(buffer);
  return frames.back();
}

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

std::unique_ptr<ObjectReader> FrameSource::State::Open(const PackId& pack, std::string* problem) {
  std::unique_ptr<ObjectReader> reader = repository->store().Open(PackName(pack));
  *problem = reader == nullptr ? "the pack does not exist" : CheckHeader(reader.get(), pack);
  return reader;
}

ObjectReader* FrameSource::State::FindReader(const PackId& pack, std::string* problem) {
  const auto found = std::ranges::find(readers, pack, &OpenPack::pack);
  if (found != readers.end()) {
    found->last_used = clock;
    return found->reader.get();
  }
  if (const auto lost = lost_packs.find(pack); lost != lost_packs.end()) {
    *problem = lost->second;
    return nullptr;
  }
  std::unique_ptr<ObjectReader> reader = Open(pack, problem);
  if (!problem->empty()) reader = Open(pack, problem);  // before it is called lost
  if (!problem->empty()) {
    lost_packs[pack] = *problem;
    return nullptr;
  }
  OpenPack& place = readers.size() < open_packs
                        ? readers.emplace_back()
                        : *std::ranges::min_element(readers, {}, &OpenPack::last_used);
  place = {pack, std::move(reader), clock};
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
  frames_decoded++;
  bytes_decoded += frame.plain_bytes;
  const FrameProblem found = decoder.Decode(stored, frame, plain);
  return found == FrameProblem::kNone ? std::string() : Describe(found);
}

void FrameSource::State::Fetch(const FrameRef& frame, const PackId& pack, FrameInHand* place) {
  // Until it holds what it says, it must not be found: a reference to no frame matches nothing.
  place->frame = FrameRef();
  place->pack = PackId();
  place->last_used = 0;
  place->needed_until = 0;
  std::string problem;
  ErrorCode code = ErrorCode::kDamaged;
  for (int attempt = 0; attempt < kReadAttempts; attempt++) {
    try {
      problem = TryRead(frame, pack, &place->plain);
      code = ErrorCode::kDamaged;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kIo && error.code() != ErrorCode::kDamaged) throw;
      problem = error.message();
      code = error.code();
    }
    if (problem.empty()) {
      place->frame = frame;
      place->pack = pack;
      return;
    }
  }
  ThrowUnreadable(code, frame, pack, problem);
}

size_t OpenPacksOfOne(int sources) {
  return std::clamp(kOpenPacksOfAll / static_cast<size_t>(std::max(sources, 1)), kFewestOpenPacks,
                    kMostOpenPacks);
}

FrameSource::FrameSource(const Repository& repository, size_t open_packs)
    : state_(std::make_unique<State>(repository, std::max<size_t>(open_packs, 1))) {}
FrameSource::~FrameSource() = default;
FrameSource::FrameSource(FrameSource&&) noexcept = default;

void FrameSource::BeginFile(const PageMap& map) {
  state_->last_runs = LastRunsOfFrames(map);
  state_->file_began = state_->clock + 1;
  for (FrameInHand& in_hand : state_->frames) in_hand.needed_until = 0;
}

ByteSpan FrameSource::Read(const FrameRef& frame, const PackId& pack) {
  State& state = *state_;
  const uint64_t run = ++state.clock - state.file_began;
  FrameInHand* in_hand = state.Find(frame, pack);
  if (in_hand == nullptr) {
    in_hand = &state.MakePlace(frame.plain_bytes);
    state.Fetch(frame, pack, in_hand);
  }
  state.latest = static_cast<size_t>(in_hand - state.frames.data());
  in_hand->last_used = state.clock;
  if (run < state.last_runs.size()) {
    in_hand->needed_until = state.file_began + state.last_runs[run];
  }
  return in_hand->plain;
}

void FrameSource::Skip() { ++state_->clock; }
void FrameSource::SkipTo(uint64_t run) { state_->clock = state_->file_began + run - 1; }

uint64_t FrameSource::frames_decoded() const { return state_->frames_decoded; }
uint64_t FrameSource::bytes_decoded() const { return state_->bytes_decoded; }
uint64_t FrameSource::bytes_in_hand() const { return state_->BytesInHand(); }

}  // namespace backup_ext
