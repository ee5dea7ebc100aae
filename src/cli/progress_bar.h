// One line on a terminal that says how far a run is. Silent where standard error is none, and with
// --json.
#pragma once

#include "base/clock.h"
#include "base/progress.h"
#include "program.h"

namespace backup_ext {

class ProgressBar {
 public:
  // `progress` must outlive the bar.
  ProgressBar(const Program& program, const Progress* progress);
  // Takes the line away.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Draws a few times a second at most.
  void Draw();

 private:
  const Progress* progress_;
  bool is_shown_;
  bool drawn_ = false;
  Microseconds started_at_;
  Microseconds next_draw_at_ = 0;
};

}  // namespace backup_ext
