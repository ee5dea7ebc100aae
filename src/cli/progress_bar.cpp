// One line on a terminal that says how far a run is.
#include "progress_bar.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "output.h"

namespace backup_ext {
namespace {

constexpr size_t kBarWidth = 30;
constexpr size_t kShortBarWidth = 10;
constexpr size_t kUsualColumns = 80;
constexpr Microseconds kDrawInterval = 250'000;

bool IsTerminal() {
  if (isatty(STDERR_FILENO) != 1) return false;
  const char* const kind = std::getenv("TERM");
  return kind == nullptr || std::string_view(kind) != "dumb";
}

// A terminal may be made narrower at any time.
size_t Columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsualColumns;
  return size.ws_col;
}

std::string Bar(double share, size_t width) {
  const auto filled = static_cast<size_t>(share * static_cast<double>(width));
  return fmt::format("[{}{}]", std::string(filled, '#'), std::string(width - filled, '.'));
}

// As much as there is room for; the last column stays free, or some terminals begin a new line.
std::string Line(const Progress& progress, double seconds, size_t columns) {
  const std::string phase = fmt::format("{:<19} ", PhaseName(progress.phase));
  const uint64_t total = progress.bytes_total;
  if (total == 0) return phase.size() < columns ? phase : std::string();
  const uint64_t done = std::min<uint64_t>(progress.bytes_done, total);
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const auto rate = static_cast<uint64_t>(static_cast<double>(done) / std::max(0.001, seconds));
  const std::string percent = fmt::format("{:3.0f} %", share * 100);
  const std::string amount = fmt::format("{} of {}", SizeText(done), SizeText(total));
  for (const std::string& line :
       {fmt::format("{}{} {}  {}  {}/s", phase, Bar(share, kBarWidth), percent, amount,
                    SizeText(rate)),
        fmt::format("{}{} {}  {}", phase, Bar(share, kShortBarWidth), percent, amount),
        fmt::format("{}{} {}", phase, Bar(share, kShortBarWidth), percent),
        fmt::format("{} {}", Bar(share, kShortBarWidth), percent), percent}) {
    if (line.size() < columns) return line;
  }
  return {};
}

// From the first column; what was behind it goes.
void ShowLine(const std::string& line) {
  PrintToStandardError(fmt::format("\r{}\x1b[K", line));
  std::fflush(stderr);
}

}  // namespace

ProgressBar::ProgressBar(const Program& program, const Progress* progress)
    : progress_(progress),
      is_shown_(!program.json() && IsTerminal()),
      started_at_(MonotonicNow()) {}

ProgressBar::~ProgressBar() {
  if (!drawn_) return;
  ShowLine({});
}

void ProgressBar::Draw() {
  const Microseconds now = MonotonicNow();
  if (!is_shown_ || now < next_draw_at_) return;
  next_draw_at_ = now + kDrawInterval;
  drawn_ = true;
  const double seconds = static_cast<double>(now - started_at_) / kMicrosecondsPerSecond;
  ShowLine(Line(*progress_, seconds, Columns()));
}

}  // namespace backup_ext
