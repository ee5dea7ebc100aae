// Making and opening repositories.
#include "store/repository.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "store/store_test_support.h"
#include "store/temporary_name.h"

namespace backup_ext {
namespace {

class RepositoryTest : public testing::Test {
 protected:
  TemporaryDirectory top_;
  std::string location_ = top_ / "repository";
};

TEST_F(RepositoryTest, IsMadeWhenOnlyItsLastPartIsMissing) {
  const mode_t before = umask(0);
  const Repository made = MakeTestRepository(location_);
  umask(before);
  EXPECT_EQ(made.identity().system_identifier, kTestSystemIdentifier);
  EXPECT_EQ(made.identity().format_version, kRepositoryFormatVersion);
  EXPECT_EQ(made.location(), location_);
  EXPECT_EQ(StatLink(location_)->st_mode & 07777, 0700U);
  EXPECT_EQ(Repository::Open(location_).identity(), made.identity());
  EXPECT_EQ(MakeTestRepository(location_).identity(), made.identity());
  EXPECT_THAT(EntriesOf(location_), testing::ElementsAre("repository.json", "tmp"));

  EXPECT_ERROR(MakeTestRepository(top_ / "missing/new"), ErrorCode::kNoRepository,
               "does not exist");
}

TEST_F(RepositoryTest, IsMadeInAnEmptyDirectory) {
  MakeDirectories(location_ + "/lost+found");
  MakeDirectory(location_ + "/tmp");
  WriteFileDurably(location_ + "/tmp/" + NewTemporaryName(), AsBytes("{\"half"));
  EXPECT_EQ(MakeTestRepository(location_).identity().system_identifier, kTestSystemIdentifier);
}

TEST_F(RepositoryTest, IsNotMadeWhereSomethingElseLies) {
  MakeDirectory(location_);
  for (const char* name : {"file", ".hidden", "tmp/theirs"}) {
    const std::string path = location_ + "/" + name;
    MakeDirectories(ParentDirectory(path));
    WriteFileDurably(path, AsBytes("x"));
    const std::optional<Error> error = ErrorOf([&] { MakeTestRepository(location_); });
    ASSERT_TRUE(error.has_value()) << name;
    EXPECT_EQ(error->code(), ErrorCode::kAlreadyExists) << error->message();
    EXPECT_THAT(error->hint(), testing::HasSubstr("empty directory"));
    RemoveFile(path);
  }
  EXPECT_FALSE(StatLink(location_ + "/repository.json").has_value());
}

TEST_F(RepositoryTest, IsNotFoundWhereThereIsNone) {
  EXPECT_ERROR(Repository::Open(location_), ErrorCode::kNoRepository, "does not exist");
  MakeDirectory(location_);
  EXPECT_ERROR(Repository::Open(location_), ErrorCode::kNoRepository, "holds no repository");
  EXPECT_ERROR(Repository::Open("relative"), ErrorCode::kInvalidArgument, "absolute path");
  EXPECT_ERROR(Repository::Open("s3://bucket/x"), ErrorCode::kInvalidArgument, "object storage");
  EXPECT_THAT(EntriesOf(location_), testing::IsEmpty());
}

TEST_F(RepositoryTest, RefusesAnotherCluster) {
  const Repository repository = MakeTestRepository(location_);
  const auto expect_both_named = [&](const std::optional<Error>& error) {
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::kWrongCluster);
    EXPECT_EQ(error->message(), "repository \"" + location_ + "\" belongs to another cluster");
    EXPECT_EQ(error->detail(),
              "The repository was made for system identifier 7654321098765432109, this server's "
              "is 42.");
  };
  expect_both_named(ErrorOf([&] { repository.CheckOwner(42); }));
  expect_both_named(ErrorOf([&] { static_cast<void>(Repository::OpenOrCreate(location_, {42})); }));
  repository.CheckOwner(kTestSystemIdentifier);
}

TEST_F(RepositoryTest, RefusesANewerFormat) {
  MakeDirectory(location_);
  RepositoryIdentity newer = {kRepositoryFormatVersion + 1, kTestSystemIdentifier, Now()};
  WriteFileDurably(location_ + "/repository.json", AsBytes(EncodeRepositoryIdentity(newer)));
  EXPECT_ERROR(Repository::Open(location_), ErrorCode::kUnsupportedFormat, "newer version");
  EXPECT_ERROR(MakeTestRepository(location_), ErrorCode::kUnsupportedFormat, "newer version");
}

TEST_F(RepositoryTest, NamesADamagedIdentity) {
  MakeDirectory(location_);
  WriteFileDurably(location_ + "/repository.json", AsBytes("{"));
  EXPECT_ERROR(Repository::Open(location_), ErrorCode::kDamaged, "repository.json");
  EXPECT_ERROR(MakeTestRepository(location_), ErrorCode::kDamaged, location_);
  EXPECT_EQ(ReadText(location_ + "/repository.json"), "{");
}

TEST_F(RepositoryTest, IsMadeOnceByManyAtOnce) {
  for (int round = 0; round < 20; round++) {
    const std::string location = top_ / ("round" + std::to_string(round));
    std::vector<std::thread> threads;
    std::vector<std::optional<RepositoryIdentity>> identities(4);
    for (auto& identity : identities) {
      threads.emplace_back([&] { identity = MakeTestRepository(location).identity(); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& identity : identities) EXPECT_EQ(identity, identities[0]);
  }
}

TEST_F(RepositoryTest, GoesToOneOfTwoClusters) {
  for (int round = 0; round < 20; round++) {
    const std::string location = top_ / ("round" + std::to_string(round));
    std::vector<std::thread> threads;
    std::vector<std::optional<Error>> errors(2);
    for (size_t i = 0; i < errors.size(); i++) {
      threads.emplace_back([&, i] {
        errors[i] =
            ErrorOf([&] { static_cast<void>(Repository::OpenOrCreate(location, {100 + i})); });
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_NE(errors[0].has_value(), errors[1].has_value());
    const Error& error = errors[0] ? *errors[0] : *errors[1];
    EXPECT_EQ(error.code(), ErrorCode::kWrongCluster) << error.message();
  }
}

// A creation that is killed anywhere leaves either no repository, which the next one makes, or a
// whole one.
TEST_F(RepositoryTest, SurvivesBeingKilledWhileItIsMade) {
  for (int delay_us = 0; delay_us < 2000; delay_us += 100) {
    const std::string location = top_ / ("delay" + std::to_string(delay_us));
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      MakeTestRepository(location);
      _exit(0);
    }
    usleep(static_cast<useconds_t>(delay_us));
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    EXPECT_EQ(MakeTestRepository(location).identity().system_identifier, kTestSystemIdentifier);
  }
}

}  // namespace
}  // namespace backup_ext
