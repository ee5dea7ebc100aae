// The rows of a verify on their way from the worker to who waits for them: a segment of dynamic
// shared memory that the waiting backend makes. They depend on nothing that a repository could
// refuse, and go away with the waiting query, however that ends.
#pragma once

#include <cstddef>
#include <vector>

#include "base/bytes.h"
#include "verify/verify_run.h"

namespace backup_ext {

inline constexpr size_t kVerifyRowsRoom = 4 * 1024 * 1024;

// As many rows as fit into `room` bytes; when some do not, or were only counted, a last one without
// a path says how many.
[[nodiscard]] Bytes EncodeVerifyRows(const VerifyResult& result, size_t room);
[[nodiscard]] std::vector<VerifyProblem> DecodeVerifyRows(ByteSpan bytes);

}  // namespace backup_ext
