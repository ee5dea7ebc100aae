// Notes come back as they were, and no damage passes.
#include "format/note.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"
#include "format/damage.h"
#include "format/sealed_json.h"

namespace backup_ext {
namespace {

constexpr Microseconds kTime = 1795429965123456;

ErrorCode CodeOf(const std::string& text, auto decode) {
  try {
    static_cast<void>(decode(text));
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error for " << text;
  return ErrorCode::kInternal;
}

TEST(Note, APinComesBackWithItsEnd) {
  for (const Microseconds until : {kPinnedForEver, kNotPinned, kTime, kTime + 1}) {
    const PinNote note{.made_at = kTime, .pinned_until = until};
    EXPECT_EQ(DecodePinNote(EncodePinNote(note)), note) << until;
  }
}

TEST(Note, APinThatEndsAfterTheYear9999NeverEnds) {
  const Microseconds far = ParseTime("9999-12-31T23:59:59.999999Z") + 1;
  EXPECT_EQ(DecodePinNote(EncodePinNote({kTime, far})).pinned_until, kPinnedForEver);
  EXPECT_EQ(DecodePinNote(EncodePinNote({kTime, far - 1})).pinned_until, far - 1);
}

TEST(Note, AVerifyResultComesBack) {
  const VerifyNote sound{kTime, 0, "", UINT64_MAX};
  EXPECT_EQ(DecodeVerifyNote(EncodeVerifyNote(sound)), sound);
  const VerifyNote damaged{kTime, 3, "base/1/\xff: \"frame\"", 12};
  EXPECT_EQ(DecodeVerifyNote(EncodeVerifyNote(damaged)), damaged);
}

TEST(Note, AnAuditAndASuspicionComeBack) {
  const AuditNote audit{kTime, "3 pages differ: base/1/\xff block 7, ..."};
  EXPECT_EQ(DecodeAuditNote(EncodeAuditNote(audit)), audit);
  const SuspectNote suspect{kTime, "20261123-103245-9f3a2c1b"};
  EXPECT_EQ(DecodeSuspectNote(EncodeSuspectNote(suspect)), suspect);
}

TEST(Note, IsReadableJson) {
  const std::string text = EncodePinNote({kTime, kPinnedForEver});
  EXPECT_EQ(text.substr(0, text.find("  \"digest\"")),
            "{\n"
            "  \"version\": 1,\n"
            "  \"made_at\": \"2026-11-23T10:32:45.123456Z\",\n"
            "  \"pinned_until\": \"infinity\",\n");
}

TEST(Note, EveryFlippedBitIsFound) {
  const std::string pin = EncodePinNote({kTime, kTime});
  const std::string verify = EncodeVerifyNote({kTime, 1, "a: b", 2});
  for (const std::string& text : {pin, verify}) {
    const ByteSpan sound = AsBytes(text);
    const auto check = [&](const Bytes& damaged) {
      const std::string copy(AsText(damaged));
      EXPECT_EQ(CodeOf(copy, DecodePinNote), ErrorCode::kDamaged);
      EXPECT_EQ(CodeOf(copy, DecodeVerifyNote), ErrorCode::kDamaged);
    };
    ForEachBitFlip(Bytes(sound.begin(), sound.end()), check);
    ForEachTruncation(Bytes(sound.begin(), sound.end()), check);
  }
}

TEST(Note, OneKindIsNotTakenForAnother) {
  EXPECT_EQ(CodeOf(EncodePinNote({kTime, kTime}), DecodeVerifyNote), ErrorCode::kDamaged);
  EXPECT_EQ(CodeOf(EncodeVerifyNote({kTime, 0, "", 0}), DecodePinNote), ErrorCode::kDamaged);
}

TEST(Note, ANewerVersionIsRefusedAndUnknownMembersAreNot) {
  const Json newer = {{"version", 2}, {"made_at", FormatTime(kTime)}, {"pinned_until", ""}};
  EXPECT_EQ(CodeOf(SealJson(newer), DecodePinNote), ErrorCode::kUnsupportedFormat);
  const Json more = {
      {"version", 1}, {"by", "olga"}, {"made_at", FormatTime(kTime)}, {"pinned_until", ""}};
  EXPECT_EQ(DecodePinNote(SealJson(more)), (PinNote{kTime, kNotPinned}));
  const Json wrong = {{"version", 1}, {"made_at", FormatTime(kTime)}, {"pinned_until", "soon"}};
  EXPECT_EQ(CodeOf(SealJson(wrong), DecodePinNote), ErrorCode::kDamaged);
}

}  // namespace
}  // namespace backup_ext
