// What a verify has found.
#include "verify/problem_list.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace backup_ext {

void ProblemList::Add(VerifyProblem problem) {
  const std::lock_guard lock(mutex_);
  count_++;
  if (problems_.size() < kVerifyProblemLimit) problems_.push_back(std::move(problem));
}

uint64_t ProblemList::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

std::vector<VerifyProblem> ProblemList::Take() {
  const std::lock_guard lock(mutex_);
  std::ranges::sort(problems_, [](const VerifyProblem& a, const VerifyProblem& b) {
    return std::tie(a.path, a.offset_bytes) < std::tie(b.path, b.offset_bytes);
  });
  return std::exchange(problems_, {});
}

}  // namespace backup_ext
