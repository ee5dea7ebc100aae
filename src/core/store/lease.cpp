// The lease in the writer's lock.
#include "store/lease.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace backup_ext {
namespace {

constexpr std::string_view kWord = "lease ";
constexpr size_t kTokenDigits = 32;

std::string_view TakeWord(std::string_view* line) {
  const size_t blank = std::min(line->find(' '), line->size());
  const std::string_view word = line->substr(0, blank);
  line->remove_prefix(std::min(blank + 1, line->size()));
  return word;
}

template <typename Number>
bool ParseNumber(std::string_view text, Number* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string EncodeLease(std::string_view holder, const Lease& lease) {
  return fmt::format("{}\n{}{} {:020} {:05} {}\n", holder, kWord, lease.token, lease.beat,
                     std::clamp(lease.seconds, int64_t{1}, kLongestLeaseSeconds), lease.boot_id);
}

std::optional<Lease> ParseLease(std::string_view content) {
  const size_t begin = content.find('\n');
  if (begin == std::string_view::npos) return std::nullopt;
  std::string_view line = content.substr(begin + 1);
  const size_t end = line.find('\n');
  if (end == std::string_view::npos || !line.starts_with(kWord)) return std::nullopt;
  line = line.substr(kWord.size(), end - kWord.size());
  Lease lease;
  lease.token = TakeWord(&line);
  const bool numbers =
      ParseNumber(TakeWord(&line), &lease.beat) && ParseNumber(TakeWord(&line), &lease.seconds);
  lease.boot_id = line;
  if (!numbers || lease.token.size() != kTokenDigits || lease.seconds < 1 ||
      lease.seconds > kLongestLeaseSeconds) {
    return std::nullopt;
  }
  return lease;
}

LeaseWatch::Verdict LeaseWatch::Judge(std::string_view content, Microseconds now) const {
  const size_t line = content.find('\n');
  const bool is_released = line == std::string_view::npos || line + 1 == content.size();
  if (is_released) return Verdict::kEnded;
  // One that is not whole is being written now: the next look will see it.
  const std::optional<Lease> lease = ParseLease(content);
  if (lease && *lease != lease_) return Verdict::kLives;
  if (now - seen_at_ > lease_.seconds * kMicrosecondsPerSecond) return Verdict::kEnded;
  return Verdict::kWait;
}

}  // namespace backup_ext
