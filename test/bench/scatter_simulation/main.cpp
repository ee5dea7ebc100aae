// Months of backups of one fake cluster in minutes: what they store, what a restore of the last one
// reads, how large the repository becomes, against the figures of the design.
//
//   scatter_simulation [--pages 131072] [--changed-a-day 3] [--seed 1] [--threads 2]
//     [--directory DIRECTORY] [NAME...]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <deque>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "backup/backup_run.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/progress.h"
#include "fake_cluster.h"
#include "restore_cost.h"
#include "store/catalog.h"
#include "store/lock.h"
#include "store/repository.h"

namespace backup_ext {
namespace {

struct Series {
  const char* name;
  int backups;
  int a_day;
};
constexpr Series kSeries[] = {{"daily", 90, 1}, {"hourly", 720, 24}};
constexpr size_t kDaysKept = 3;

// Which page is changed next. A page at pages() is a new one.
using NextPage = std::function<uint64_t(const FakeCluster& cluster, Random* random)>;
struct Pattern {
  const char* name;
  NextPage next;
  double share;  // of what is changed: a cluster that grew so fast would not stay one
};

uint64_t Uniform(const FakeCluster& cluster, Random* random) {
  return random->Below(cluster.pages());
}

// Nine tenths of the changes go to a tenth of the pages, which lie everywhere.
uint64_t Skewed(const FakeCluster& cluster, Random* random) {
  constexpr uint64_t kOneIn = 10;
  const uint64_t page = random->Below(cluster.pages());
  if (random->Below(kOneIn) == 0) return page;
  const uint64_t group = page / kOneIn;
  return std::min(group * kOneIn + group * 7 % kOneIn, cluster.pages() - 1);
}

// Four fifths are new pages; the others are changes of rows, the younger the more.
uint64_t AppendMostly(const FakeCluster& cluster, Random* random) {
  if (random->Below(5) != 0) return cluster.pages();
  const double age = std::pow(random->Fraction(), 3);
  return cluster.pages() - 1 -
         static_cast<uint64_t>(age * static_cast<double>(cluster.pages() - 1));
}

class QuietServer : public ServerAccess {
 public:
  void PausePoint() override {}
  [[nodiscard]] std::optional<Bytes> ReadRelationMap(const std::string& /*path*/) override {
    return std::nullopt;
  }
};

struct Options {
  uint64_t pages = 131072;
  double changed_a_day = 3;  // percent of the pages
  uint64_t seed = 1;
  int threads = 2;
  std::string directory;
  std::vector<std::string> patterns;
};

class Simulation {
 public:
  Simulation(const Options& options, const Series& series, const Pattern& pattern)
      : options_(options),
        series_(series),
        pattern_(pattern),
        directory_(JoinPath(options.directory, fmt::format("{}-{}", pattern.name, series.name))),
        cluster_(JoinPath(directory_, "data"), options.pages, options.seed),
        repository_(
            Repository::OpenOrCreate(JoinPath(directory_, "repository"), {kFakeSystemIdentifier})),
        lock_(WriterLock::Acquire(repository_, "simulation")),
        random_(options.seed + 1) {}

  ~Simulation() {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  void Run() {
    Backup();
    for (int i = 0; i < series_.backups; ++i) {
      const double part = options_.changed_a_day / 100 / series_.a_day * pattern_.share;
      const auto count = static_cast<uint64_t>(part * static_cast<double>(cluster_.pages()));
      if (count == 0) {
        throw Error(ErrorCode::kInvalidArgument,
                    "no page would change between two backups: more pages, or more of them a day");
      }
      for (uint64_t n = 0; n < count; ++n) cluster_.Change(pattern_.next(cluster_, &random_));
      const uint64_t changed = cluster_.changed_pages() * kFakePageBytes;
      Backup();
      changed_bytes_ += changed;
      stored_bytes_ += kept_.back().stored_bytes;
      most_at_once_ = std::max(most_at_once_, Ratio(kept_.back().stored_bytes, changed));
      Expire();
    }
    Print(CompareWithDirectory(repository_, kept_.back(), JoinPath(directory_, "data")));
  }

 private:
  static double Ratio(uint64_t a, uint64_t b) {
    return static_cast<double>(a) / static_cast<double>(std::max<uint64_t>(b, 1));
  }

  void Backup() {
    BackupOptions options;
    options.backup_id = NewBackupId(Now());
    options.threads = options_.threads;
    options.begun_at = Now();
    BackupRecord record;
    record.backup_id = options.backup_id;
    record.kind = kept_.empty() ? "full" : "incremental";
    record.trigger = "schedule";
    record.state = "complete";
    record.system_identifier = kFakeSystemIdentifier;
    record.started_at = options.begun_at;
    record.start_lsn = cluster_.BeginBackup();
    const ChangedBlocks changes = cluster_.TakeChanges();
    if (!kept_.empty()) {
      options.parents.push_back({kept_.back(), false});
      options.changes = &changes;
      record.parent_id = kept_.back().backup_id;
    }
    QuietServer server;
    Progress progress;
    BackupRun run(repository_, cluster_.Facts(), options, &server, &progress);
    run.PublishWalPosition(cluster_.wal_lsn());
    run.CopyCluster(record.start_lsn);
    run.Finish(&record, *lock_);
    kept_.push_back(record);
  }

  // As a retention of three days would.
  void Expire() {
    while (kept_.size() > kDaysKept * series_.a_day) {
      RemoveBackup(repository_, kept_.front().backup_id);
      kept_.pop_front();
    }
    (void)SweepUnreferenced(repository_);
    repository_bytes_ = 0;
    for (const ObjectInfo& object : repository_.store().List("")) {
      repository_bytes_ += object.size_bytes;
    }
    largest_repository_ =
        std::max(largest_repository_, Ratio(repository_bytes_, cluster_.pages() * kFakePageBytes));
  }

  void Print(const RestoreCost& cost) const {
    fmt::print("{:14} {:6} {:12.2f} {:12.2f} {:14.2f} {:12.2f} {:12.2f} {:9.1f} MB\n",
               pattern_.name, series_.name, Ratio(stored_bytes_, changed_bytes_), most_at_once_,
               Ratio(cost.decoded_bytes, cost.file_bytes),
               Ratio(repository_bytes_, cluster_.pages() * kFakePageBytes), largest_repository_,
               static_cast<double>(cost.most_in_hand_bytes) / (1024 * 1024));
    std::fflush(stdout);
  }

  const Options& options_;
  const Series& series_;
  const Pattern& pattern_;
  const std::string directory_;
  FakeCluster cluster_;
  Repository repository_;
  std::unique_ptr<WriterLock> lock_;
  Random random_;
  std::deque<BackupRecord> kept_;  // oldest first
  uint64_t changed_bytes_ = 0;
  uint64_t stored_bytes_ = 0;
  double most_at_once_ = 0;
  uint64_t repository_bytes_ = 0;
  double largest_repository_ = 0;
};

void RunAll(const Options& options) {
  const std::vector<Pattern> patterns = {
      {"uniform", Uniform, 1.0}, {"skewed", Skewed, 1.0}, {"append-mostly", AppendMostly, 0.2}};
  fmt::print(
      "{} pages of {} bytes that cannot be compressed, {} % of them changed a day, no full "
      "backup but the first\n\n",
      options.pages, kFakePageBytes, options.changed_a_day);
  fmt::print("{:14} {:6} {:>12} {:>12} {:>14} {:>12} {:>12} {:>12}\n", "changes", "", "stored /",
             "the most", "restore reads", "repository", "the most", "most frames");
  fmt::print("{:14} {:6} {:>12} {:>12} {:>14} {:>12} {:>12} {:>12}\n", "", "", "changed", "of one",
             "/ database", "/ database", "there was", "in hand");
  for (const Series& series : kSeries) {
    for (const Pattern& pattern : patterns) {
      const std::string name = fmt::format("{}-{}", pattern.name, series.name);
      const auto& wanted = options.patterns;
      if (!wanted.empty() && std::ranges::find(wanted, name) == wanted.end()) continue;
      Simulation(options, series, pattern).Run();
    }
  }
  fmt::print("{:14} {:6} {:>12} {:>12} {:>14} {:>12}\n", "the design", "", "1.0-1.9", "about 2",
             "1.05-1.46", "1.1-1.6");
}

int Main(int argc, char** argv) {
  CLI::App app{"Simulates months of backups of one cluster."};
  Options options;
  app.add_option("--pages", options.pages, "Pages of the cluster")
      ->check(CLI::Range(1000, 100'000'000));
  app.add_option("--changed-a-day", options.changed_a_day, "Percent of the pages")
      ->check(CLI::Range(0.01, 100.0));
  app.add_option("--seed", options.seed, "Of the changes");
  app.add_option("--threads", options.threads, "Of each backup")->check(CLI::Range(1, 64));
  app.add_option("--directory", options.directory, "Where there is room for six times the pages");
  app.add_option("names", options.patterns, "Only these: uniform-daily, skewed-hourly, ...");
  CLI11_PARSE(app, argc, argv);
  try {
    if (options.directory.empty()) options.directory = std::filesystem::temp_directory_path();
    options.directory =
        JoinPath(ResolvePath(options.directory), "scatter-" + HexEncode(RandomBytes(8)));
    MakeDirectory(options.directory);
    RunAll(options);
    std::filesystem::remove_all(options.directory);
  } catch (const Error& error) {
    fmt::print(stderr, "scatter_simulation: error: {}\n", error.message());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace backup_ext

int main(int argc, char** argv) { return backup_ext::Main(argc, argv); }
