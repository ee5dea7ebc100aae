// Small JSON objects that carry a digest of themselves, so that every changed byte is found.
//
// Documented in doc/repository_format.md, "Sealed JSON".
// The text is one JSON document for any tool. Its last member, on a line of its own, is
//   "digest": "<XXH3-128 of all bytes before that line, hexadecimal>"
// Text fields that are not UTF-8 (PostgreSQL allows any encoding) are stored as "<name>_hex".
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace backup_ext {

using Json = nlohmann::ordered_json;

// `object` must not be empty, nor hold a member "digest".
[[nodiscard]] std::string SealJson(const Json& object);
// Throws Error(kDamaged), naming `what`, for anything that SealJson() did not write.
[[nodiscard]] Json OpenSealedJson(std::string_view text, std::string_view what);

void PutText(std::string_view name, std::string_view text, Json* object);
[[nodiscard]] bool IsUtf8(std::string_view text);

// Reads members of one object. Throws Error(kDamaged), naming `what` and the member, when it is
// missing, of another type, or out of range. `object` and `what` must outlive it.
class JsonFields {
 public:
  JsonFields(const Json& object, std::string_view what);

  [[nodiscard]] const Json& Member(const char* name) const;
  [[nodiscard]] const Json& Array(const char* name) const;
  [[nodiscard]] std::string Text(const std::string& name) const;  // as PutText() wrote it
  [[nodiscard]] uint64_t U64(const char* name) const;
  [[nodiscard]] uint32_t U32(const char* name) const;
  [[nodiscard]] bool Bool(const char* name) const;
  [[nodiscard]] Microseconds Time(const char* name) const;
  [[nodiscard]] uint64_t Lsn(const char* name) const;
  // A 64-bit number as decimal text: readers in other languages keep 53 bits of a JSON number.
  [[nodiscard]] uint64_t DecimalText(const char* name) const;

  [[noreturn]] void ThrowInvalid(std::string_view name) const;

 private:
  const Json& object_;
  std::string_view what_;
};

}  // namespace backup_ext
