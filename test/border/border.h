// What the files of this test module share.
#pragma once

#include "postgres_headers.h"

namespace backup_ext_border {

// Stands for everything that C++ cleans up in destructors.
class Frame {
 public:
  Frame() { ++live_; }
  ~Frame() { --live_; }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  [[nodiscard]] static int live() { return live_; }

 private:
  static inline int live_ = 0;
};

// Raises a PostgreSQL error with every field that a user sees.
[[noreturn]] void RaiseWithEverything();

// PostgreSQL's side: may raise an error.
inline const char* Text(FunctionCallInfo fcinfo, int number) {
  return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

}  // namespace backup_ext_border
