// The header of a pack has the documented bytes, and no damage passes.
#include "format/pack.h"

#include <gtest/gtest.h>

#include "base/digest.h"
#include "base/error.h"
#include "format/damage.h"

namespace backup_ext {
namespace {

PackHeader Example() { return {0x0102030405060708, {"20261123-103245-9f3a2c1b", 3, 17}}; }

TEST(PackHeader, HasTheDocumentedBytes) {
  const Bytes bytes = EncodePackHeader(Example());
  ASSERT_EQ(bytes.size(), kPackHeaderBytes);
  EXPECT_EQ(HexEncode(ByteSpan(bytes).first(16)), "42585031000000000807060504030201");
  EXPECT_EQ(AsText(ByteSpan(bytes).subspan(16, 24)), "20261123-103245-9f3a2c1b");
  EXPECT_EQ(HexEncode(ByteSpan(bytes).subspan(40, 16)), "03000000110000000000000000000000");
}

TEST(PackHeader, ComesBackAlsoInFrontOfFrames) {
  Bytes bytes = EncodePackHeader(Example());
  EXPECT_EQ(DecodePackHeader(bytes), Example());
  bytes.resize(1000);
  EXPECT_EQ(DecodePackHeader(bytes), Example());
}

TEST(PackHeader, EveryBitFlipAndTruncationIsFound) {
  const Bytes sound = EncodePackHeader(Example());
  const auto expect_found = [](const Bytes& damaged) { ASSERT_FALSE(DecodePackHeader(damaged)); };
  ForEachBitFlip(sound, expect_found);
  ForEachTruncation(sound, expect_found);
}

TEST(PackHeader, RefusesAnIdThatIsNone) {
  PackHeader header = Example();
  header.pack.backup_id = "latest";
  EXPECT_THROW(static_cast<void>(EncodePackHeader(header)), Error);
}

}  // namespace
}  // namespace backup_ext
