// Frames come back as they went in, and no damage passes.
#include "format/frame.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include "base/error.h"
#include "format/damage.h"

namespace backup_ext {
namespace {

TEST(Frame, RandomContentComesBack) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  FrameDecoder decoder;
  for (const int level : {1, 2, 3, 19}) {
    FrameEncoder encoder(level);
    for (const size_t size : {size_t{1}, size_t{100}, size_t{8192}, kFramePlainLimitBytes,
                              random() % kFramePlainLimitBytes + 1}) {
      for (const bool compressible : {false, true}) {
        const Bytes plain =
            compressible ? CompressibleContent(size, &random) : RandomContent(size, &random);
        Bytes stored(7);  // it appends
        const FrameRef frame = encoder.Encode(plain, &stored);
        ASSERT_EQ(frame.stored_bytes, stored.size() - 7);
        ASSERT_LE(frame.stored_bytes, kFrameHeaderBytes + plain.size());
        Bytes result, next_result;
        size_t consumed = 0;
        const ByteSpan frame_bytes = ByteSpan(stored).subspan(7);
        ASSERT_EQ(decoder.Decode(frame_bytes, frame, &result), FrameProblem::kNone);
        ASSERT_EQ(result, plain);
        stored.resize(stored.size() + 100);
        ASSERT_EQ(decoder.DecodeNext(ByteSpan(stored).subspan(7), &next_result, &consumed),
                  FrameProblem::kNone);
        ASSERT_EQ(next_result, plain);
        ASSERT_EQ(consumed, frame.stored_bytes);
      }
    }
  }
}

TEST(Frame, PayloadIsPlainZstdOrTheBytesThemselves) {
  std::mt19937_64 random(1);
  FrameEncoder encoder(1);
  const Bytes plain = CompressibleContent(10000, &random);
  Bytes stored;
  static_cast<void>(encoder.Encode(plain, &stored));
  const ByteSpan payload = ByteSpan(stored).subspan(kFrameHeaderBytes);
  EXPECT_LT(payload.size(), plain.size());
  EXPECT_EQ(ZSTD_getFrameContentSize(payload.data(), payload.size()), plain.size());
  Bytes unpacked(plain.size());
  EXPECT_EQ(ZSTD_decompress(unpacked.data(), unpacked.size(), payload.data(), payload.size()),
            plain.size());
  EXPECT_EQ(unpacked, plain);

  const Bytes noise = RandomContent(1000, &random);
  stored.clear();
  static_cast<void>(encoder.Encode(noise, &stored));
  EXPECT_EQ(stored.size(), kFrameHeaderBytes + noise.size());
}

TEST(Frame, EveryBitFlipAndTruncationIsFound) {
  std::mt19937_64 random(2);
  FrameEncoder encoder(1);
  FrameDecoder decoder;
  for (const Bytes& plain : {CompressibleContent(3000, &random), RandomContent(500, &random)}) {
    Bytes stored;
    const FrameRef frame = encoder.Encode(plain, &stored);
    Bytes result;
    size_t consumed = 0;
    ASSERT_EQ(decoder.Decode(stored, frame, &result), FrameProblem::kNone);
    const auto expect_found = [&](const Bytes& damaged) {
      ASSERT_NE(decoder.Decode(damaged, frame, &result), FrameProblem::kNone);
      ASSERT_NE(decoder.DecodeNext(damaged, &result, &consumed), FrameProblem::kNone);
    };
    ForEachBitFlip(stored, expect_found);
    ForEachTruncation(stored, expect_found);
    stored.push_back(std::byte{0});
    EXPECT_EQ(decoder.Decode(stored, frame, &result), FrameProblem::kBadHeader);
  }
}

TEST(Frame, SoundButWrongFrameIsFound) {
  std::mt19937_64 random(3);
  FrameEncoder encoder(1);
  FrameDecoder decoder;
  Bytes first, second, result;
  const FrameRef wanted = encoder.Encode(CompressibleContent(1000, &random), &first);
  static_cast<void>(encoder.Encode(CompressibleContent(1000, &random), &second));
  EXPECT_EQ(decoder.Decode(second, wanted, &result), FrameProblem::kWrongFrame);
}

// A header whose own check holds, with fields of the caller's choice.
struct ForgedFrame {
  const char* name;
  uint8_t compression;
  uint8_t encryption;
  uint16_t zero;
  uint32_t plain_bytes;
  Bytes payload;
  FrameProblem problem;
};

Bytes Forge(const ForgedFrame& forged) {
  ByteWriter out;
  out.PutBytes(AsBytes("BXF1"));
  out.PutU8(forged.compression);
  out.PutU8(forged.encryption);
  out.PutU16(forged.zero);
  out.PutU32(forged.plain_bytes);
  out.PutU32(static_cast<uint32_t>(forged.payload.size()));
  out.PutBytes(Digest128());
  out.PutU64(Xxh3Short(forged.payload));
  out.PutU64(Xxh3Short(out.bytes()));
  out.PutBytes(forged.payload);
  return out.Take();
}

TEST(Frame, HostileHeadersAreRefusedBeforeAnythingIsAllocated) {
  Bytes bomb(200);
  const Bytes zeros(kFramePlainLimitBytes);
  bomb.resize(ZSTD_compress(bomb.data(), bomb.size(), zeros.data(), zeros.size(), 1));
  const ForgedFrame cases[] = {
      {"too large", 1, 0, 0, kFramePlainLimitBytes + 1, bomb, FrameProblem::kBadHeader},
      {"huge", 1, 0, 0, UINT32_MAX, bomb, FrameProblem::kBadHeader},
      {"empty", 0, 0, 0, 0, {}, FrameProblem::kBadHeader},
      {"no payload", 1, 0, 0, 10, {}, FrameProblem::kBadHeader},
      {"stored with other length", 0, 0, 0, 11, Bytes(10), FrameProblem::kBadHeader},
      {"not smaller", 1, 0, 0, 10, Bytes(10), FrameProblem::kBadHeader},
      {"newer compression", 2, 0, 0, 100, Bytes(10), FrameProblem::kUnsupported},
      {"encrypted", 1, 1, 0, 100, Bytes(10), FrameProblem::kUnsupported},
      {"reserved bytes", 1, 0, 1, 100, Bytes(10), FrameProblem::kUnsupported},
      {"no zstd", 1, 0, 0, 100, Bytes(10), FrameProblem::kBadPayload},
      {"expands to more", 1, 0, 0, 1000, bomb, FrameProblem::kBadPayload},
      {"expands to less", 1, 0, 0, kFramePlainLimitBytes, {}, FrameProblem::kBadHeader},
      {"other content", 0, 0, 0, 10, Bytes(10), FrameProblem::kWrongDigest},
  };
  FrameDecoder decoder;
  for (const ForgedFrame& forged : cases) {
    SCOPED_TRACE(forged.name);
    Bytes result;
    size_t consumed = 0;
    EXPECT_EQ(decoder.DecodeNext(Forge(forged), &result, &consumed), forged.problem);
    EXPECT_LE(result.capacity(), kFramePlainLimitBytes);
  }
}

TEST(Frame, ImpossibleCallsAreRefused) {
  EXPECT_THROW(FrameEncoder(0), Error);
  EXPECT_THROW(FrameEncoder(20), Error);
  FrameEncoder encoder(1);
  Bytes out;
  EXPECT_THROW(static_cast<void>(encoder.Encode({}, &out)), Error);
  EXPECT_THROW(static_cast<void>(encoder.Encode(Bytes(kFramePlainLimitBytes + 1), &out)), Error);
}

}  // namespace
}  // namespace backup_ext
