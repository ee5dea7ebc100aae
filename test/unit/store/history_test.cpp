// The history: one report a run, whatever else happens to the repository.
#include "store/history.h"

#include "format/sealed_json.h"
#include "store/store_test_support.h"

namespace backup_ext {
namespace {

constexpr Microseconds kTime = 1795429965123456;  // 2026-11-23
constexpr Microseconds kDay = 24LL * 3600 * kMicrosecondsPerSecond;

RunReport TestReport(Microseconds started_at, const std::string& result = "succeeded") {
  RunReport report;
  report.job_id = NewJobId(started_at);
  report.operation = "backup";
  report.trigger = "schedule";
  report.kind = "full";
  report.backup_id = NewBackupId(started_at);
  report.label = "na\xc3\xafve \xff";
  report.result = result;
  report.started_at = started_at;
  report.finished_at = started_at + kMicrosecondsPerSecond;
  report.database_bytes = 1ULL << 50;
  report.stored_bytes = 7;
  report.freed_bytes = 8;
  report.files = 9;
  report.error = result == "succeeded" ? "" : "could not write file \"x\"";
  report.detail = "A detail.";
  report.hint = "A hint.";
  report.host = "db1";
  report.data_directory = "/data";
  return report;
}

class HistoryTest : public testing::Test {
 protected:
  TemporaryDirectory top_;
  std::string location_ = top_ / "repository";
  Repository repository_ = MakeTestRepository(location_);
};

TEST_F(HistoryTest, ComesBackAsItWasNewestFirst) {
  const RunReport first = TestReport(kTime);
  const RunReport second = TestReport(kTime + 40 * kDay, "failed");
  AddToHistory(repository_, second);
  AddToHistory(repository_, first);
  EXPECT_EQ(ReadHistory(repository_, 0), (std::vector<RunReport>{second, first}));
  EXPECT_TRUE(StatFile(location_ + "/" + HistoryName(first.job_id, kTime)));
}

TEST_F(HistoryTest, BeginsWhereItIsAskedTo) {
  const RunReport report = TestReport(kTime);
  AddToHistory(repository_, report);
  EXPECT_EQ(ReadHistory(repository_, kTime).size(), 1U);
  EXPECT_EQ(ReadHistory(repository_, kTime + 1).size(), 0U);
  EXPECT_EQ(ReadHistory(repository_, kTime - 400 * kDay).size(), 1U);
}

TEST_F(HistoryTest, KeepsTheFirstReportOfAJob) {
  RunReport report = TestReport(kTime);
  AddToHistory(repository_, report);
  report.result = "failed";
  AddToHistory(repository_, report);
  EXPECT_EQ(ReadHistory(repository_, 0).at(0).result, "succeeded");
}

TEST_F(HistoryTest, ShowsWhatCannotBeRead) {
  const RunReport report = TestReport(kTime);
  AddToHistory(repository_, report);
  const std::string path = location_ + "/" + HistoryName(report.job_id, kTime);
  std::string text = ReadText(path);
  text[text.size() / 2] ^= 1;
  WriteFileDurably(path, AsBytes(text));
  WriteFileDurably(ParentDirectory(path) + "/lost+found", AsBytes("x"));
  const std::vector<RunReport> reports = ReadHistory(repository_, 0);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].job_id, report.job_id);
  EXPECT_EQ(reports[0].result, "unreadable");
  EXPECT_EQ(reports[0].started_at, kTime - kTime % kMicrosecondsPerSecond);
  EXPECT_NE(reports[0].error, "");
}

TEST_F(HistoryTest, LosesWholeMonthsOnly) {
  const RunReport november = TestReport(kTime);
  const RunReport december = TestReport(kTime + 10 * kDay);
  AddToHistory(repository_, november);
  AddToHistory(repository_, december);
  EXPECT_EQ(PruneHistory(repository_, kTime + 5 * kDay), 0U);
  EXPECT_EQ(PruneHistory(repository_, kTime + 12 * kDay), 1U);
  EXPECT_EQ(ReadHistory(repository_, 0), std::vector<RunReport>{december});
}

TEST(RunReport, RefusesANewerVersionAndIgnoresNewMembers) {
  const RunReport report = TestReport(kTime);
  Json object = OpenSealedJson(EncodeRunReport(report), "report");
  object.erase("digest");
  object["new_member"] = 1;
  EXPECT_EQ(DecodeRunReport(SealJson(object)), report);
  object["version"] = 2;
  EXPECT_ERROR(DecodeRunReport(SealJson(object)), ErrorCode::kUnsupportedFormat, "version 2");
}

TEST(DescribeRun, CutsLongTextsAndNeverTheResult) {
  RunReport report = TestReport(kTime, "failed");
  report.error = std::string(5000, '"');
  report.hint = std::string(500, 'h');
  const std::string line = DescribeRun(report, 4000);
  EXPECT_LE(line.size(), 4000U);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_NE(line.find("\"result\":\"failed\""), std::string::npos);
  EXPECT_NE(DescribeRun(report, 100000).find("hhh"), std::string::npos);
}

TEST(TimeOfJobId, IsTheSecondInIt) {
  EXPECT_EQ(TimeOfJobId(NewJobId(kTime)), kTime - kTime % kMicrosecondsPerSecond);
  EXPECT_FALSE(TimeOfJobId("job-20261399-000000-00000000"));
  EXPECT_FALSE(TimeOfJobId("20261123-103245-9f3a2c1b"));
  EXPECT_FALSE(TimeOfJobId("job-"));
}

}  // namespace
}  // namespace backup_ext
