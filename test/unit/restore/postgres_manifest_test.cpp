// The server's backup_manifest. The format is judged by pg_verifybackup in the TAP tests.
#include "restore/postgres_manifest.h"

#include "restore/restore_test_support.h"
#include "restore/stage_tree.h"

namespace backup_ext {
namespace {

TEST(PostgresManifest, LineIsThatOfTheServer) {
  // CRC-32C of "123456789" is e3069283; in memory, on this machine, lowest byte first.
  const uint32_t crc = Crc32cFinish(Crc32cUpdate(kCrc32cInit, AsBytes("123456789")));
  EXPECT_EQ(PostgresManifestLine("base/1/1259", 9, 1'790'000'000, crc),
            "{ \"Path\": \"base/1/1259\", \"Size\": 9, \"Last-Modified\": \"2026-09-21 14:13:20 "
            "GMT\", \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"839206e3\" }");
}

TEST(PostgresManifest, OddPathsAreEscapedOrEncoded) {
  EXPECT_THAT(PostgresManifestLine("a\"b\\c\nd\x01", 0, 0, 0),
              testing::HasSubstr("\"Path\": \"a\\\"b\\\\c\\nd\\u0001\""));
  EXPECT_THAT(PostgresManifestLine("\xc3\xa4", 0, 0, 0),
              testing::HasSubstr("\"Path\": \"\xc3\xa4\""));
  EXPECT_THAT(PostgresManifestLine("x\xff", 0, 0, 0),
              testing::HasSubstr("\"Encoded-Path\": \"78ff\""));
}

class WholeManifest : public testing::Test {
 protected:
  std::string Write(uint32_t version) {
    BackupRecord record;
    record.server_version_num = version;
    record.system_identifier = 42;
    record.wal_ranges = {{2, 0x5000000, 0x6000028}, {1, 0x4000028, 0x5000000}};
    StageTree tree(directory_ / "stage");
    tree.Claim({}, std::nullopt);
    PostgresManifest manifest(&tree, record);
    manifest.Add("PG_VERSION", 3, 0, 0);
    for (const char* ignored : {"pg_wal/x", "postgresql.auto.conf", "recovery.signal",
                                "standby.signal", "backup_manifest"}) {
      manifest.Add(ignored, "content");
    }
    manifest.Add("global/1", 4, 0, 0);
    manifest.Finish();
    return ReadText(directory_ / "stage/backup_manifest");
  }
  TemporaryDirectory directory_;
};

const std::string kFilesAndRanges =
    "\"Files\": [\n"
    "{ \"Path\": \"PG_VERSION\", \"Size\": 3, \"Last-Modified\": \"1970-01-01 00:00:00 GMT\", "
    "\"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"00000000\" },\n"
    "{ \"Path\": \"global/1\", \"Size\": 4, \"Last-Modified\": \"1970-01-01 00:00:00 GMT\", "
    "\"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"00000000\" }\n"
    "],\n"
    "\"WAL-Ranges\": [\n"
    "{ \"Timeline\": 2, \"Start-LSN\": \"0/5000000\", \"End-LSN\": \"0/6000028\" },\n"
    "{ \"Timeline\": 1, \"Start-LSN\": \"0/4000028\", \"End-LSN\": \"0/5000000\" }\n"
    "],\n";

void ExpectManifest(const std::string& manifest, const std::string& before_checksum) {
  ASSERT_EQ(manifest.substr(0, before_checksum.size()), before_checksum);
  Sha256Stream digest;
  digest.Update(AsBytes(before_checksum));
  EXPECT_EQ(manifest.substr(before_checksum.size()),
            "\"Manifest-Checksum\": \"" + HexEncode(digest.Finish()) + "\"}\n");
}

TEST_F(WholeManifest, IsVersion1UpTo16) {
  ExpectManifest(Write(169999), "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n" + kFilesAndRanges);
}

TEST_F(WholeManifest, IsVersion2From17On) {
  ExpectManifest(Write(170000),
                 "{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": 42,\n" +
                     kFilesAndRanges);
}

}  // namespace
}  // namespace backup_ext
