// What a verify has found. Bounded: beyond a limit files are only counted.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace backup_ext {

// One damaged file.
struct VerifyProblem {
  std::string path;     // as in the manifest; "manifest", "media" and "record.json" for those
  std::string problem;  // the first one, and how many follow
  std::optional<uint64_t> offset_bytes;  // in the file; nothing where the whole file is concerned
  bool operator==(const VerifyProblem&) const = default;
};

inline constexpr size_t kVerifyProblemLimit = 10'000;

// Any thread.
class ProblemList {
 public:
  // One call a file.
  void Add(VerifyProblem problem);
  // How many were added.
  [[nodiscard]] uint64_t count() const;
  // Sorted by path; at most kVerifyProblemLimit, which may be any of them. Ends the list.
  [[nodiscard]] std::vector<VerifyProblem> Take();

 private:
  mutable std::mutex mutex_;
  std::vector<VerifyProblem> problems_;
  uint64_t count_ = 0;
};

}  // namespace backup_ext
