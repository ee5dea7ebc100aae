// One line on a terminal that says how far a run is. Silent where standard error is none.
#include "progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "output.h"

namespace backup_ext {
namespace {

constexpr size_t kBarWidth = 30;
constexpr Microseconds kDrawInterval = 250'000;

}  // namespace

ProgressBar::ProgressBar(const Progress* progress)
    : progress_(progress), is_terminal_(isatty(STDERR_FILENO) == 1), started_at_(MonotonicNow()) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputc('\n', stderr);
}

void ProgressBar::Draw() {
  const Microseconds now = MonotonicNow();
  if (!is_terminal_ || now < next_draw_at_) return;
  next_draw_at_ = now + kDrawInterval;
  drawn_ = true;
  const uint64_t total = progress_->bytes_total;
  const uint64_t done = std::min<uint64_t>(progress_->bytes_done, total);
  const double share = total == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total);
  const auto filled = static_cast<size_t>(share * kBarWidth);
  const double seconds = std::max(0.001, static_cast<double>(now - started_at_) / 1e6);
  const auto rate = static_cast<uint64_t>(static_cast<double>(done) / seconds);
  const std::string line =
      fmt::format("\r{:<14} [{}{}] {:3.0f} %  {} of {}  {}/s\x1b[K", PhaseName(progress_->phase),
                  std::string(filled, '#'), std::string(kBarWidth - filled, '.'), share * 100,
                  SizeText(done), SizeText(total), SizeText(rate));
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace backup_ext
