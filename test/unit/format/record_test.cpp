// Records come back byte for byte, stay readable JSON, and no damage passes.
#include "format/record.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/lsn.h"
#include "format/damage.h"
#include "format/sealed_json.h"

namespace backup_ext {
namespace {

BackupRecord Example() {
  BackupRecord record;
  record.backup_id = "20261123-103245-9f3a2c1b";
  record.label = "before \"upgrade\" ä";
  record.kind = "incremental";
  record.trigger = "manual";
  record.state = "complete";
  record.parent_id = "20261122-103245-00000000";
  record.started_at = 1795429965123456;
  record.finished_at = 1795429999000000;
  record.database_bytes = UINT64_MAX;
  record.system_identifier = 18446744073709551615ULL;
  record.timeline = 3;
  record.start_lsn = 0xA000028;
  record.stop_lsn = UINT64_MAX;
  record.from_standby = true;
  record.wal_ranges = {{3, 0x2000000, 0x3000000}, {2, 1, 2}};
  record.server_version = "15.18";
  record.server_version_num = 150018;
  record.data_checksums = true;
  record.settings = {{"max_connections", "100"}, {"x.y", "a'b\n"}};
  record.tablespaces = {{16384, "/srv/space", 12345}};
  record.manifest_digest = "00112233445566778899aabbccddeeff";
  record.packs = {{{record.backup_id, 0, 1}, 100, 200}, {{record.parent_id, 2, 3}, 1, 2}};
  return record;
}

template <typename Call>
ErrorCode CodeOf(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "accepted";
  return ErrorCode::kInternal;
}

TEST(Record, ComesBack) {
  EXPECT_EQ(DecodeRecord(EncodeRecord(Example())), Example());
  BackupRecord minimal;
  minimal.backup_id = "20261123-103245-9f3a2c1b";
  EXPECT_EQ(DecodeRecord(EncodeRecord(minimal)), minimal);
}

TEST(Record, IsJsonThatOtherToolsRead) {
  const auto json = nlohmann::json::parse(EncodeRecord(Example()));
  EXPECT_EQ(json["system_identifier"], "18446744073709551615");
  EXPECT_EQ(json["start_lsn"], "0/A000028");
  EXPECT_EQ(json["started_at"], "2026-11-23T10:32:45.123456Z");
  EXPECT_EQ(json["label"], "before \"upgrade\" ä");
  EXPECT_EQ(json["settings"]["max_connections"], "100");
  EXPECT_EQ(json["packs"][1]["name"], "packs/20261122-103245-00000000/2-3.pack");
  EXPECT_EQ(json["digest"].get<std::string>().size(), 32U);
}

TEST(Record, TextOfAnyEncodingComesBack) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    BackupRecord record = Example();
    for (std::string* text :
         {&record.label, &record.error, &record.parent_reason, &record.host, &record.data_directory,
          &record.wal_level, &record.tablespaces[0].location, &record.settings["latin"]}) {
      *text = AsText(RandomContent(random() % 12, &random));
    }
    record.settings[std::string(AsText(RandomContent(3, &random)))] = "value";
    record.settings["\xff"] = "\xc3\xa4";
    ASSERT_EQ(DecodeRecord(EncodeRecord(record)), record);
  }
}

TEST(Record, EveryBitFlipAndTruncationIsFound) {
  const std::string text = EncodeRecord(Example());
  const Bytes sound(AsBytes(text).begin(), AsBytes(text).end());
  const auto expect_found = [](const Bytes& damaged) {
    ASSERT_EQ(CodeOf([&] { static_cast<void>(DecodeRecord(AsText(damaged))); }),
              ErrorCode::kDamaged);
  };
  ForEachBitFlip(sound, expect_found);
  ForEachTruncation(sound, expect_found);
  EXPECT_THROW(static_cast<void>(DecodeRecord(text + "\n")), Error);
  EXPECT_THROW(static_cast<void>(DecodeRecord(text + text)), Error);
}

// A text that carries the right digest.
template <typename Change>
std::string Changed(const std::string& text, Change change) {
  Json object = Json::parse(text);
  object.erase("digest");
  change(&object);
  return SealJson(object);
}

TEST(Record, UnknownMembersAreIgnored) {
  const std::string text = Changed(EncodeRecord(Example()), [](Json* object) {
    (*object)["new_in_2030"] = {1, 2};
  });
  EXPECT_EQ(DecodeRecord(text), Example());
}

TEST(Record, NewerVersionIsToldFromDamage) {
  const std::string text =
      Changed(EncodeRecord(Example()), [](Json* object) { (*object)["version"] = 2; });
  EXPECT_EQ(CodeOf([&] { static_cast<void>(DecodeRecord(text)); }), ErrorCode::kUnsupportedFormat);
}

TEST(Record, EveryMemberIsNeededAndOfItsType) {
  const std::string text = EncodeRecord(Example());
  const Json whole = Json::parse(text);
  for (const auto& [name, value] : whole.items()) {
    if (name == "digest") {
      continue;
    }
    SCOPED_TRACE(name);
    for (const Json& wrong :
         {Json(), Json(-1), Json(1.5), Json("?"), Json::array({1}), Json::object({{"a", 1}})}) {
      if (wrong.is_string() && value.is_string()) {
        continue;
      }
      const std::string changed =
          Changed(text, [&, key = name](Json* object) { (*object)[key] = wrong; });
      EXPECT_EQ(CodeOf([&] { static_cast<void>(DecodeRecord(changed)); }), ErrorCode::kDamaged)
          << wrong;
    }
    const std::string without = Changed(text, [key = name](Json* object) { object->erase(key); });
    EXPECT_EQ(CodeOf([&] { static_cast<void>(DecodeRecord(without)); }), ErrorCode::kDamaged);
  }
}

TEST(Record, IdsThatCouldClimbAreRefused) {
  for (const char* name : {"backup_id", "parent_id"}) {
    const std::string text = Changed(EncodeRecord(Example()), [name](Json* object) {
      (*object)[name] = "../../../../../etc/passwd";
    });
    EXPECT_EQ(CodeOf([&] { static_cast<void>(DecodeRecord(text)); }), ErrorCode::kDamaged);
  }
  BackupRecord record = Example();
  record.backup_id = "x";
  EXPECT_THROW(static_cast<void>(EncodeRecord(record)), Error);
}

TEST(RepositoryIdentity, ComesBackAndNoDamagePasses) {
  const RepositoryIdentity identity{1, UINT64_MAX, 1795429965123456};
  const std::string text = EncodeRepositoryIdentity(identity);
  EXPECT_EQ(DecodeRepositoryIdentity(text), identity);
  EXPECT_EQ(nlohmann::json::parse(text)["system_identifier"], "18446744073709551615");
  const Bytes sound(AsBytes(text).begin(), AsBytes(text).end());
  const auto expect_found = [](const Bytes& damaged) {
    ASSERT_THROW(static_cast<void>(DecodeRepositoryIdentity(AsText(damaged))), Error);
  };
  ForEachBitFlip(sound, expect_found);
  ForEachTruncation(sound, expect_found);
}

TEST(RepositoryIdentity, NewerFormatIsToldFromDamage) {
  const std::string text =
      Changed(EncodeRepositoryIdentity({}), [](Json* object) { (*object)["format_version"] = 2; });
  EXPECT_EQ(CodeOf([&] { static_cast<void>(DecodeRepositoryIdentity(text)); }),
            ErrorCode::kUnsupportedFormat);
}

TEST(Lsn, IsWrittenAsPostgresqlDoes) {
  EXPECT_EQ(FormatLsn(0xA000028), "0/A000028");
  EXPECT_EQ(FormatLsn(0x1600B374D848), "1600/B374D848");
  for (const uint64_t lsn : {uint64_t{0}, uint64_t{0xA000028}, UINT64_MAX, uint64_t{1} << 32}) {
    EXPECT_EQ(ParseLsn(FormatLsn(lsn)), lsn);
  }
  EXPECT_EQ(ParseLsn("16/b374d848"), 0x16B374D848U);
  for (const char* text : {"", "/", "0", "0/", "/0", "0/0/0", "0/100000000", "0/-1", "0x1/2",
                           " 0/1", "0/1 ", "000000000/1"}) {
    EXPECT_THROW(static_cast<void>(ParseLsn(text)), Error) << text;
  }
}

}  // namespace
}  // namespace backup_ext
