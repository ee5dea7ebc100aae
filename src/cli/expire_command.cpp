// `backup_ext expire`: removes what is too old, by the rules of backup_expire().
#include "expire_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "expire/expiry.h"
#include "interrupt.h"
#include "output.h"
#include "policy/duration.h"
#include "store/lock.h"

namespace backup_ext {
namespace {

struct ExpireOptions {
  std::string retention;
  int keep = 1;
  bool dry_run = false;
};

// Given, never guessed: the server's setting is not known here, and what was not said clearly
// removes nothing.
RetentionRules RulesOf(const ExpireOptions& options) {
  const DurationText retention = ParseDuration(options.retention);
  if (!retention.valid || retention.length <= 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("invalid value for --retention: \"{}\"", options.retention),
                retention.valid ? "It must be more than nothing." : retention.problem,
                "Write a length of time, as \"3 days\" or \"12 hours\".");
  }
  return {retention.length, options.keep};
}

std::string Holder() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host.front() = '?';
  return fmt::format("backup_ext expire (PID {} on {})", getpid(), host.data());
}

std::vector<ExpiryRow> RunExpire(const Repository& repository, const ExpireOptions& options) {
  const RetentionRules rules = RulesOf(options);
  if (options.dry_run) return PlanExpiry(repository, rules);
  const auto lock = WriterLock::Acquire(repository, Holder());
  return ExpireBackups(repository, *lock, rules, ThrowIfInterrupted);
}

uint64_t FreedBytes(const std::vector<ExpiryRow>& rows) {
  uint64_t bytes = 0;
  for (const ExpiryRow& row : rows) bytes += row.removed ? row.freed_bytes : 0;
  return bytes;
}

const char* ActionOf(const ExpiryRow& row) { return row.removed ? "remove" : "keep"; }

nlohmann::json ResultJson(const std::vector<ExpiryRow>& rows, const ExpireOptions& options) {
  nlohmann::json backups = nlohmann::json::array();
  for (const ExpiryRow& row : rows) {
    backups.push_back({{"backup_id", row.backup_id},
                       {"action", ActionOf(row)},
                       {"because", row.because},
                       {"freed_bytes", row.freed_bytes},
                       {"failed", row.has_failed}});
  }
  return {{"dry_run", options.dry_run}, {"freed_bytes", FreedBytes(rows)}, {"backups", backups}};
}

void PrintRows(const std::vector<ExpiryRow>& rows, const ExpireOptions& options) {
  for (const ExpiryRow& row : rows) {
    fmt::print("{:<24}  {:<6}  {:>10}  {}\n", row.backup_id, ActionOf(row),
               row.removed ? SizeText(row.freed_bytes) : "", Printable(row.because));
  }
  const auto removed =
      std::count_if(rows.begin(), rows.end(), [](const ExpiryRow& row) { return row.removed; });
  fmt::print("{} {} of {} backups, {}.\n", options.dry_run ? "Would remove" : "Removed", removed,
             rows.size(), SizeText(FreedBytes(rows)));
}

int Expire(const Program& program, const ExpireOptions& options) {
  const Repository repository = program.OpenRepository();
  const std::vector<ExpiryRow> rows = RunExpire(repository, options);
  if (program.json()) {
    PrintJson(ResultJson(rows, options));
  } else {
    PrintRows(rows, options);
  }
  const bool has_failed =
      std::any_of(rows.begin(), rows.end(), [](const ExpiryRow& row) { return row.has_failed; });
  return has_failed ? 1 : 0;
}

}  // namespace

void AddExpireCommand(Program* program) {
  const auto options = std::make_shared<ExpireOptions>();
  CLI::App* const command = program->AddCommand(
      "expire", "Remove backups that are older than the retention, and say why each stays or goes",
      [program, options] { return Expire(*program, *options); });
  command
      ->add_option("--retention", options->retention,
                   "How long backups are kept, counted from the newest good one: \"3 days\"")
      ->type_name("LENGTH")
      ->required();
  command->add_option("--keep", options->keep, "Never fewer good backups than this; default 1")
      ->type_name("N")
      ->check(CLI::Range(1, 10000));
  command->add_flag("--dry-run", options->dry_run, "Only say what would be removed");
}

}  // namespace backup_ext
