// Frames: compressed with one zstd context, checked before and after decompression.
#include "format/frame.h"

#include <fmt/core.h>
#include <zstd.h>

#include <algorithm>
#include <new>

#include "base/error.h"

namespace backup_ext {
namespace {

constexpr std::string_view kFrameMagic = "BXF1";
constexpr uint8_t kStored = 0;
constexpr uint8_t kZstd = 1;
constexpr uint8_t kNotEncrypted = 0;
constexpr size_t kCheckedFrameBytes = kFrameHeaderBytes - 8;

struct FrameHeader {
  uint8_t compression = kStored;
  uint32_t plain_bytes = 0;
  uint32_t payload_bytes = 0;
  Digest128 digest{};
  uint64_t payload_check = 0;
};

uint64_t ShortDigest(const Digest128& digest) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(value); ++i) {
    value = value << 8 | std::to_integer<uint64_t>(digest[i]);
  }
  return value;
}

Bytes EncodeHeader(const FrameHeader& header) {
  ByteWriter out;
  out.PutBytes(AsBytes(kFrameMagic));
  out.PutU8(header.compression);
  out.PutU8(kNotEncrypted);
  out.PutU16(0);
  out.PutU32(header.plain_bytes);
  out.PutU32(header.payload_bytes);
  out.PutBytes(header.digest);
  out.PutU64(header.payload_check);
  out.PutU64(Xxh3Short(out.bytes()));
  return out.Take();
}

FrameProblem DecodeHeader(ByteSpan stored, FrameHeader* header) {
  if (stored.size() < kFrameHeaderBytes) {
    return FrameProblem::kTooShort;
  }
  ByteReader in(stored.first(kFrameHeaderBytes), "frame header");
  const bool has_magic = AsText(in.GetBytes(kFrameMagic.size())) == kFrameMagic;
  header->compression = in.GetU8();
  const uint8_t encryption = in.GetU8();
  const uint16_t zero = in.GetU16();
  header->plain_bytes = in.GetU32();
  header->payload_bytes = in.GetU32();
  const ByteSpan digest = in.GetBytes(header->digest.size());
  std::copy(digest.begin(), digest.end(), header->digest.begin());
  header->payload_check = in.GetU64();
  if (!has_magic || in.GetU64() != Xxh3Short(stored.first(kCheckedFrameBytes))) {
    return FrameProblem::kBadHeader;
  }
  if (header->compression > kZstd || encryption != kNotEncrypted || zero != 0) {
    return FrameProblem::kUnsupported;
  }
  const bool lengths_fit = header->compression == kStored
                               ? header->payload_bytes == header->plain_bytes
                               : header->payload_bytes < header->plain_bytes;
  if (header->plain_bytes == 0 || header->plain_bytes > kFramePlainLimitBytes ||
      header->payload_bytes == 0 || !lengths_fit) {
    return FrameProblem::kBadHeader;
  }
  return FrameProblem::kNone;
}

struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

void CheckZstd(size_t result) {
  if (ZSTD_isError(result)) {
    throw Error(ErrorCode::kInternal,
                fmt::format("could not compress data: {}", ZSTD_getErrorName(result)));
  }
}

}  // namespace

struct FrameEncoder::State {
  std::unique_ptr<ZSTD_CCtx, FreeZstd> zstd{ZSTD_createCCtx()};
  Bytes compressed = Bytes(ZSTD_compressBound(kFramePlainLimitBytes));
};

uint64_t FrameDigest(ByteSpan plain) { return ShortDigest(Xxh3Digest(plain)); }

FrameEncoder::FrameEncoder(int level) {
  if (level < 1 || level > 19) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("compression level {} is outside the valid range (1 .. 19)", level));
  }
  state_ = std::make_unique<State>();
  ZSTD_CCtx* const zstd = state_->zstd.get();
  if (zstd == nullptr) {
    throw std::bad_alloc();
  }
  CheckZstd(ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level));
  if (level <= 2) {
    CheckZstd(ZSTD_CCtx_setParameter(zstd, ZSTD_c_hashLog, 13));
  }
}

FrameEncoder::~FrameEncoder() = default;
FrameEncoder::FrameEncoder(FrameEncoder&&) noexcept = default;
FrameEncoder& FrameEncoder::operator=(FrameEncoder&&) noexcept = default;

FrameRef FrameEncoder::Encode(ByteSpan plain, Bytes* out) {
  if (plain.empty() || plain.size() > kFramePlainLimitBytes) {
    throw Error(ErrorCode::kInternal, fmt::format("frame of {} bytes", plain.size()));
  }
  const size_t compressed_bytes =
      ZSTD_compress2(state_->zstd.get(), state_->compressed.data(), state_->compressed.size(),
                     plain.data(), plain.size());
  CheckZstd(compressed_bytes);
  const bool smaller = compressed_bytes < plain.size();
  const ByteSpan payload = smaller ? ByteSpan(state_->compressed).first(compressed_bytes) : plain;

  FrameHeader header;
  header.compression = smaller ? kZstd : kStored;
  header.plain_bytes = static_cast<uint32_t>(plain.size());
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  header.digest = Xxh3Digest(plain);
  header.payload_check = Xxh3Short(payload);
  const Bytes encoded_header = EncodeHeader(header);
  out->insert(out->end(), encoded_header.begin(), encoded_header.end());
  out->insert(out->end(), payload.begin(), payload.end());

  FrameRef frame;
  frame.stored_bytes = static_cast<uint32_t>(kFrameHeaderBytes + payload.size());
  frame.plain_bytes = header.plain_bytes;
  frame.digest = ShortDigest(header.digest);
  return frame;
}

const char* Describe(FrameProblem problem) {
  switch (problem) {
    case FrameProblem::kNone:
      return "no problem";
    case FrameProblem::kTooShort:
      return "frame ends early";
    case FrameProblem::kBadHeader:
      return "frame header is damaged";
    case FrameProblem::kUnsupported:
      return "frame was written by a newer version";
    case FrameProblem::kWrongFrame:
      return "another frame lies in its place";
    case FrameProblem::kBadPayload:
      return "frame payload is damaged";
    case FrameProblem::kWrongDigest:
      return "frame content does not match its checksum";
  }
  return "unknown problem";
}

struct FrameDecoder::State {
  std::unique_ptr<ZSTD_DCtx, FreeZstd> zstd{ZSTD_createDCtx()};

  FrameProblem Unpack(const FrameHeader& header, ByteSpan payload, Bytes* plain);
};

// The stored bytes are checked first: some bits of a zstd frame mean nothing, and zstd need not
// meet damaged input at all. The digest of the result then finds a fault of zstd or of the memory.
FrameProblem FrameDecoder::State::Unpack(const FrameHeader& header, ByteSpan payload,
                                         Bytes* plain) {
  if (Xxh3Short(payload) != header.payload_check) {
    return FrameProblem::kBadPayload;
  }
  if (header.compression == kStored) {
    plain->assign(payload.begin(), payload.end());
  } else {
    plain->resize(header.plain_bytes);
    const size_t result = ZSTD_decompressDCtx(zstd.get(), plain->data(), plain->size(),
                                              payload.data(), payload.size());
    if (ZSTD_isError(result) || result != plain->size()) {
      return FrameProblem::kBadPayload;
    }
  }
  return Xxh3Digest(*plain) == header.digest ? FrameProblem::kNone : FrameProblem::kWrongDigest;
}

FrameDecoder::FrameDecoder() : state_(std::make_unique<State>()) {
  if (state_->zstd == nullptr) {
    throw std::bad_alloc();
  }
}

FrameDecoder::~FrameDecoder() = default;
FrameDecoder::FrameDecoder(FrameDecoder&&) noexcept = default;
FrameDecoder& FrameDecoder::operator=(FrameDecoder&&) noexcept = default;

FrameProblem FrameDecoder::Decode(ByteSpan stored, const FrameRef& expected, Bytes* plain) {
  FrameHeader header;
  const FrameProblem problem = DecodeHeader(stored, &header);
  if (problem != FrameProblem::kNone) {
    return problem;
  }
  if (header.plain_bytes != expected.plain_bytes || ShortDigest(header.digest) != expected.digest) {
    return FrameProblem::kWrongFrame;
  }
  const ByteSpan payload = stored.subspan(kFrameHeaderBytes);
  if (payload.size() != header.payload_bytes) {
    return payload.size() < header.payload_bytes ? FrameProblem::kTooShort
                                                 : FrameProblem::kBadHeader;
  }
  return state_->Unpack(header, payload, plain);
}

FrameProblem FrameDecoder::DecodeNext(ByteSpan stored, Bytes* plain, size_t* consumed) {
  FrameHeader header;
  const FrameProblem problem = DecodeHeader(stored, &header);
  if (problem != FrameProblem::kNone) {
    return problem;
  }
  const ByteSpan rest = stored.subspan(kFrameHeaderBytes);
  if (rest.size() < header.payload_bytes) {
    return FrameProblem::kTooShort;
  }
  *consumed = kFrameHeaderBytes + header.payload_bytes;
  return state_->Unpack(header, rest.first(header.payload_bytes), plain);
}

}  // namespace backup_ext
