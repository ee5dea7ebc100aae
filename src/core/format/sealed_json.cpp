// Sealing, opening and strict reading of small JSON objects.
#include "format/sealed_json.h"

#include <fmt/core.h>

#include <charconv>
#include <limits>

#include "base/digest.h"
#include "base/error.h"
#include "base/lsn.h"
#include "format/record.h"

namespace backup_ext {
namespace {

constexpr std::string_view kEndOfObject = "\n}";
constexpr std::string_view kDigestStart = "  \"digest\": \"";
constexpr std::string_view kDigestEnd = "\"\n}\n";

// The last line but one, and the brace.
std::string DigestOf(std::string_view text) {
  return fmt::format("{}{}{}", kDigestStart, HexEncode(Xxh3Digest(AsBytes(text))), kDigestEnd);
}

}  // namespace

std::string SealJson(const Json& object) {
  std::string text = object.dump(2);
  text.resize(text.size() - kEndOfObject.size());
  text += ",\n";
  text += DigestOf(text);
  return text;
}

Json OpenSealedJson(std::string_view text, std::string_view what) {
  constexpr size_t digest_chars = 2 * sizeof(Digest128);
  constexpr size_t seal_chars = kDigestStart.size() + digest_chars + kDigestEnd.size();
  if (text.size() < seal_chars ||
      text.substr(text.size() - seal_chars) != DigestOf(text.substr(0, text.size() - seal_chars))) {
    throw Error(ErrorCode::kDamaged, fmt::format("{} does not match its digest", what));
  }
  Json object = Json::parse(text, nullptr, false);
  if (!object.is_object()) {
    throw Error(ErrorCode::kDamaged, fmt::format("{} is not a JSON object", what));
  }
  return object;
}

bool IsUtf8(std::string_view text) {
  try {
    static_cast<void>(Json(text).dump());
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

void PutText(std::string_view name, std::string_view text, Json* object) {
  if (IsUtf8(text)) {
    (*object)[std::string(name)] = text;
  } else {
    (*object)[std::string(name) + "_hex"] = HexEncode(AsBytes(text));
  }
}

JsonFields::JsonFields(const Json& object, std::string_view what) : object_(object), what_(what) {
  if (!object.is_object()) {
    throw Error(ErrorCode::kDamaged, fmt::format("{} holds a member of the wrong type", what));
  }
}

void JsonFields::ThrowInvalid(std::string_view name) const {
  throw Error(ErrorCode::kDamaged, fmt::format("{} has no valid member \"{}\"", what_, name));
}

const Json& JsonFields::Member(const char* name) const {
  const auto found = object_.find(name);
  if (found == object_.end()) {
    ThrowInvalid(name);
  }
  return *found;
}

const Json& JsonFields::Array(const char* name) const {
  const Json& value = Member(name);
  if (!value.is_array()) {
    ThrowInvalid(name);
  }
  return value;
}

std::string JsonFields::Text(const std::string& name) const {
  const auto hex = object_.find(name + "_hex");
  const bool is_hex = hex != object_.end();
  const Json& value = is_hex ? *hex : Member(name.c_str());
  if (!value.is_string()) {
    ThrowInvalid(name);
  }
  const auto& text = value.get_ref<const std::string&>();
  return is_hex ? std::string(AsText(HexDecode(text))) : text;
}

uint64_t JsonFields::U64(const char* name) const {
  const Json& value = Member(name);
  if (!value.is_number_unsigned()) {
    ThrowInvalid(name);
  }
  return value.get<uint64_t>();
}

uint32_t JsonFields::U32(const char* name) const {
  const uint64_t value = U64(name);
  if (value > std::numeric_limits<uint32_t>::max()) {
    ThrowInvalid(name);
  }
  return static_cast<uint32_t>(value);
}

bool JsonFields::Bool(const char* name) const {
  const Json& value = Member(name);
  if (!value.is_boolean()) {
    ThrowInvalid(name);
  }
  return value.get<bool>();
}

Microseconds JsonFields::Time(const char* name) const { return ParseTime(Text(name)); }

uint64_t JsonFields::Lsn(const char* name) const { return ParseLsn(Text(name)); }

uint64_t JsonFields::DecimalText(const char* name) const {
  const std::string text = Text(name);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    ThrowInvalid(name);
  }
  return value;
}

}  // namespace backup_ext
