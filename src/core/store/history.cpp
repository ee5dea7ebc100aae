// The history of a repository.
#include "store/history.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "format/names.h"

namespace backup_ext {
namespace {

constexpr uint64_t kReportLimitBytes = 1024 * 1024;
constexpr std::string_view kSuffix = ".json";

// history/2026/11/
std::string MonthPrefix(Microseconds time) {
  const std::string name = HistoryName("x", time);
  return name.substr(0, name.size() - std::string_view("x.json").size());
}

// Every history/<yyyy>/<mm>/, oldest first.
std::vector<std::string> Months(const Repository& repository) {
  std::vector<std::string> months;
  const std::string top(kHistoryPrefix);
  for (const std::string& year : repository.store().ListNames(top)) {
    const std::string prefix = top + year + "/";
    for (const std::string& month : repository.store().ListNames(prefix)) {
      months.push_back(prefix + month + "/");
    }
  }
  return months;
}

// When the job of this name was asked for, nothing for a name that is no report's.
std::optional<Microseconds> TimeOfName(std::string_view name) {
  if (!name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  return TimeOfJobId(name);
}

RunReport ReadReport(const Repository& repository, const std::string& name, Microseconds time) {
  RunReport unreadable;
  unreadable.job_id = name.substr(name.rfind('/') + 1);
  unreadable.job_id.resize(unreadable.job_id.size() - kSuffix.size());
  unreadable.result = "unreadable";
  unreadable.started_at = time;
  unreadable.finished_at = time;
  try {
    const std::optional<Bytes> text = repository.store().Get(name, kReportLimitBytes);
    if (text) return DecodeRunReport(AsText(*text));
    unreadable.error = "it was removed meanwhile";
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNoRepository) throw;
    unreadable.error = error.message();
  }
  return unreadable;
}

}  // namespace

void AddToHistory(const Repository& repository, const RunReport& report) {
  try {
    repository.store().Put(HistoryName(report.job_id, report.started_at),
                           AsBytes(EncodeRunReport(report)));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kAlreadyExists) throw;
  }
}

std::vector<RunReport> ReadHistory(const Repository& repository, Microseconds since) {
  // A job id has whole seconds.
  const Microseconds first = since - since % kMicrosecondsPerSecond;
  std::vector<RunReport> reports;
  for (const std::string& month : Months(repository)) {
    if (month < MonthPrefix(first)) continue;
    for (const std::string& name : repository.store().ListNames(month)) {
      const std::optional<Microseconds> time = TimeOfName(name);
      if (!time || *time < first) continue;
      RunReport report = ReadReport(repository, month + name, *time);
      if (report.started_at >= since) reports.push_back(std::move(report));
    }
  }
  std::ranges::stable_sort(reports, std::ranges::greater(), &RunReport::started_at);
  return reports;
}

uint64_t PruneHistory(const Repository& repository, Microseconds before) {
  uint64_t removed = 0;
  const std::string first_kept = MonthPrefix(before);
  for (const std::string& month : Months(repository)) {
    if (month >= first_kept) continue;
    for (const std::string& name : repository.store().ListNames(month)) {
      if (TimeOfName(name) && repository.store().Delete(month + name)) ++removed;
    }
  }
  return removed;
}

}  // namespace backup_ext
