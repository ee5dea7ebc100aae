// A frame: up to 256 KiB of plain bytes, compressed, with its lengths and its digest in front.
//
// Layout (all integers little-endian), documented in doc/repository_format.md, "Frame":
//   0  4  magic "BXF1"
//   4  1  compression: 0 none, 1 zstd
//   5  1  encryption: 0 none (any other value is refused by this version)
//   6  2  zero
//   8  4  plain_bytes
//  12  4  payload_bytes: what follows the header
//  16 16  XXH3-128 of the plain bytes, canonical form
//  32  8  XXH3-64 of the payload: not every bit of zstd's format changes what it decompresses
//         to, and every changed bit shall be found
//  40  8  XXH3-64 of bytes 0..39
//  48     payload
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/digest.h"

namespace backup_ext {

inline constexpr size_t kFramePlainLimitBytes = 256 * 1024;
inline constexpr size_t kFrameHeaderBytes = 48;

// Where a frame lies and which one it must be. `digest` is the first 8 bytes of its XXH3-128 (as a
// big-endian number): a frame in the right place with other content is found out.
struct FrameRef {
  uint32_t pack = 0;          // index into the pack table of the manifest
  uint64_t offset_bytes = 0;  // of the frame's header in the pack
  uint32_t stored_bytes = 0;  // header and payload
  uint32_t plain_bytes = 0;
  uint64_t digest = 0;
  bool operator==(const FrameRef&) const = default;
};

// The `digest` of a frame that holds these bytes.
[[nodiscard]] uint64_t FrameDigest(ByteSpan plain);

// Compresses frames. One a thread: it owns a zstd context. Level 1 uses a hash table that fits the
// first-level cache (hash log 13): 15 % faster for 1 % more bytes.
class FrameEncoder {
 public:
  // `level`: 1 to 19. Throws Error(kInvalidArgument) otherwise.
  explicit FrameEncoder(int level);
  ~FrameEncoder();
  FrameEncoder(FrameEncoder&&) noexcept;
  FrameEncoder& operator=(FrameEncoder&&) noexcept;

  // Appends the frame of `plain` (1 to kFramePlainLimitBytes bytes) to `out` and returns its
  // reference with pack and offset left 0. Stored as it is when zstd does not make it smaller.
  [[nodiscard]] FrameRef Encode(ByteSpan plain, Bytes* out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// What is wrong with a frame.
enum class FrameProblem {
  kNone,
  kTooShort,     // ends before its header or payload does
  kBadHeader,    // magic, check of the header, lengths out of range
  kUnsupported,  // a compression or encryption of a newer version
  kWrongFrame,   // sound, but not the one that was asked for
  kBadPayload,   // other bytes than were stored, or does not decompress
  kWrongDigest   // decompresses to other bytes
};
[[nodiscard]] const char* Describe(FrameProblem problem);

// Checks and decompresses frames. One a thread.
class FrameDecoder {
 public:
  FrameDecoder();
  ~FrameDecoder();
  FrameDecoder(FrameDecoder&&) noexcept;
  FrameDecoder& operator=(FrameDecoder&&) noexcept;

  // `stored`: exactly the frame. `expected`: its plain_bytes and digest must match. On kNone
  // `*plain` holds the bytes; otherwise it is unspecified. Memory is bounded by
  // kFramePlainLimitBytes whatever the input.
  [[nodiscard]] FrameProblem Decode(ByteSpan stored, const FrameRef& expected, Bytes* plain);
  // For a stream of frames (manifest): decodes the frame at the start of `stored` and says in
  // `*consumed` how long it is. kTooShort: more bytes are needed, never more than
  // kFrameHeaderBytes + kFramePlainLimitBytes.
  [[nodiscard]] FrameProblem DecodeNext(ByteSpan stored, Bytes* plain, size_t* consumed);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace backup_ext
