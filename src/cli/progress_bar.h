// One line on a terminal that says how far a run is. Silent where standard error is none.
#pragma once

#include "base/clock.h"
#include "base/progress.h"

namespace backup_ext {

class ProgressBar {
 public:
  // `progress` must outlive the bar.
  explicit ProgressBar(const Progress* progress);
  // Ends the line.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Draws a few times a second at most.
  void Draw();

 private:
  const Progress* progress_;
  bool is_terminal_;
  bool drawn_ = false;
  Microseconds started_at_;
  Microseconds next_draw_at_ = 0;
};

}  // namespace backup_ext
