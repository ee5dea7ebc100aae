// The rows of a verify on their way from the worker to who waits for them.
//
// 8 bytes length of what follows; V count of rows, then each: path, problem, V offset + 1, or 0.
#include "verify_rows.h"

#include <fmt/format.h>

#include <string>

#include "base/error.h"

namespace backup_ext {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr size_t kRoomForCounts = 256;

void PutRow(const VerifyProblem& row, ByteWriter* out) {
  out->PutString(row.path);
  out->PutString(row.problem);
  out->PutVarint(row.offset_bytes ? *row.offset_bytes + 1 : 0);
}

}  // namespace

Bytes EncodeVerifyRows(const VerifyResult& result, size_t room) {
  ByteWriter rows;
  uint64_t count = 0;
  for (const VerifyProblem& problem : result.problems) {
    ByteWriter row;
    PutRow(problem, &row);
    if (kLengthBytes + rows.size() + row.size() + kRoomForCounts > room) break;
    rows.PutBytes(row.bytes());
    ++count;
  }
  if (count < result.damaged_files) {
    PutRow({"", fmt::format("{} more damaged files are not listed", result.damaged_files - count),
            std::nullopt},
           &rows);
    ++count;
  }
  ByteWriter counted;
  counted.PutVarint(count);
  ByteWriter out;
  out.PutU64(counted.size() + rows.size());
  out.PutBytes(counted.bytes());
  out.PutBytes(rows.bytes());
  return out.Take();
}

std::vector<VerifyProblem> DecodeVerifyRows(ByteSpan bytes) {
  constexpr const char* kWhat = "rows of a verify";
  ByteReader length(bytes, kWhat);
  const uint64_t count_bytes = length.GetU64();
  if (count_bytes == 0) {
    throw Error(ErrorCode::kInternal, "the worker left no rows of its verify");
  }
  ByteReader in(length.GetBytes(static_cast<size_t>(count_bytes)), kWhat);
  std::vector<VerifyProblem> rows;
  for (uint64_t left = in.GetVarint(); left > 0; --left) {
    VerifyProblem& row = rows.emplace_back();
    row.path = in.GetString();
    row.problem = in.GetString();
    const uint64_t offset = in.GetVarint();
    if (offset > 0) row.offset_bytes = offset - 1;
  }
  return rows;
}

}  // namespace backup_ext
