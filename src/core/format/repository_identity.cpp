// repository.json: whose repository it is, and in which format.
#include <fmt/core.h>

#include "base/error.h"
#include "format/record.h"
#include "format/sealed_json.h"

namespace backup_ext {
namespace {

constexpr std::string_view kIdentityWhat = "repository description";

}  // namespace

std::string EncodeRepositoryIdentity(const RepositoryIdentity& identity) {
  Json object;
  object["format_version"] = identity.format_version;
  object["system_identifier"] = std::to_string(identity.system_identifier);
  object["created_at"] = FormatTime(identity.created_at);
  return SealJson(object);
}

RepositoryIdentity DecodeRepositoryIdentity(std::string_view text) {
  const Json object = OpenSealedJson(text, kIdentityWhat);
  const JsonFields fields(object, kIdentityWhat);
  RepositoryIdentity identity;
  identity.format_version = fields.U32("format_version");
  if (identity.format_version > kRepositoryFormatVersion) {
    throw Error(ErrorCode::kUnsupportedFormat,
                fmt::format("cannot read repository of format version {}", identity.format_version),
                fmt::format("This program reads versions up to {}.", kRepositoryFormatVersion),
                "Use the version of backup_ext that wrote the repository, or a newer one.");
  }
  identity.system_identifier = fields.DecimalText("system_identifier");
  identity.created_at = fields.Time("created_at");
  return identity;
}

}  // namespace backup_ext
