// The header of a pack.
#include "format/pack.h"

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"

namespace backup_ext {
namespace {

constexpr std::string_view kPackMagic = "BXP1";
constexpr size_t kBackupIdBytes = 24;
constexpr size_t kCheckedPackBytes = kPackHeaderBytes - 8;

}  // namespace

Bytes EncodePackHeader(const PackHeader& header) {
  if (!IsBackupId(header.pack.backup_id) || header.pack.backup_id.size() > kBackupIdBytes) {
    throw Error(ErrorCode::kInternal, "pack has an invalid backup id");
  }
  ByteWriter out;
  out.PutBytes(AsBytes(kPackMagic));
  out.PutU32(0);
  out.PutU64(header.system_identifier);
  out.PutBytes(AsBytes(header.pack.backup_id));
  out.PutBytes(Bytes(kBackupIdBytes - header.pack.backup_id.size()));
  out.PutU32(header.pack.thread);
  out.PutU32(header.pack.number);
  out.PutU64(0);
  out.PutU64(Xxh3Short(out.bytes()));
  return out.Take();
}

std::optional<PackHeader> DecodePackHeader(ByteSpan bytes) {
  if (bytes.size() < kPackHeaderBytes) {
    return std::nullopt;
  }
  ByteReader in(bytes.first(kPackHeaderBytes), "pack header");
  const bool has_magic = AsText(in.GetBytes(kPackMagic.size())) == kPackMagic;
  const uint32_t first_zero = in.GetU32();
  PackHeader header;
  header.system_identifier = in.GetU64();
  const std::string_view padded_id = AsText(in.GetBytes(kBackupIdBytes));
  header.pack.backup_id = padded_id.substr(0, padded_id.find_last_not_of('\0') + 1);
  header.pack.thread = in.GetU32();
  header.pack.number = in.GetU32();
  const uint64_t second_zero = in.GetU64();
  if (!has_magic || in.GetU64() != Xxh3Short(bytes.first(kCheckedPackBytes)) || first_zero != 0 ||
      second_zero != 0 || !IsBackupId(header.pack.backup_id)) {
    return std::nullopt;
  }
  return header;
}

}  // namespace backup_ext
