// Encoding, decoding and checking of a manifest's entries.
#include "format/manifest_entry.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "base/digits.h"
#include "base/error.h"

namespace backup_ext {
namespace {

constexpr std::string_view kManifestMagic = "BXM1";
constexpr std::string_view kTablespaces = "pg_tblspc/";

[[noreturn]] void ThrowDamagedEntry(std::string_view problem, const ManifestEntry& entry) {
  ThrowDamagedManifest(fmt::format("{}: \"{}\"", problem, entry.path));
}

uint32_t GetU32Varint(ByteReader* in) {
  const uint64_t value = in->GetVarint();
  if (value > std::numeric_limits<uint32_t>::max()) {
    ThrowDamagedManifest("number out of range");
  }
  return static_cast<uint32_t>(value);
}

bool HasContent(EntryKind kind) {
  return kind == EntryKind::kFile || kind == EntryKind::kConfiguration;
}

bool IsTablespacePath(std::string_view path) {
  if (path.substr(0, kTablespaces.size()) != kTablespaces || path == kTablespaces) {
    return false;
  }
  path.remove_prefix(kTablespaces.size());
  return std::all_of(path.begin(), path.end(), IsDigit);
}

void CheckAttributes(const ManifestEntry& entry) {
  if (!IsManifestPath(entry.path)) {
    ThrowDamagedEntry("path is not relative or not plain", entry);
  }
  if (entry.link_target.find('\0') != std::string::npos) {
    ThrowDamagedEntry("link target holds a zero byte", entry);
  }
  if (entry.kind == EntryKind::kTablespaceLink && !IsTablespacePath(entry.path)) {
    ThrowDamagedEntry("tablespace at an impossible path", entry);
  }
  if (entry.kind == EntryKind::kSymbolicLink && entry.link_target.empty()) {
    ThrowDamagedEntry("symbolic link to nothing", entry);
  }
  if (entry.kind == EntryKind::kHardLink &&
      (!IsManifestPath(entry.link_target) || entry.link_target >= entry.path)) {
    ThrowDamagedEntry("hard link to what does not come before it", entry);
  }
  for (const auto& [name, value] : entry.xattrs) {
    if (name.empty() || name.find('\0') != std::string::npos) {
      ThrowDamagedEntry("extended attribute has an impossible name", entry);
    }
  }
}

void CheckContent(const ManifestEntry& entry, uint32_t page_bytes, size_t packs) {
  if (!HasContent(entry.kind)) {
    if (entry.map != PageMap() || entry.content != Digest128()) {
      ThrowDamagedEntry("content of what is no file", entry);
    }
    return;
  }
  if (entry.map.unit_bytes != 1 && entry.map.unit_bytes != page_bytes) {
    ThrowDamagedEntry("page map with another page size", entry);
  }
  for (const FrameRef& frame : entry.map.frames) {
    if (frame.pack >= packs) {
      ThrowDamagedEntry("frame in a pack that is not defined", entry);
    }
  }
  try {
    entry.map.Check(entry.size_bytes);
  } catch (const Error& error) {
    ThrowDamagedEntry(error.message(), entry);
  }
}

}  // namespace

void ThrowDamagedManifest(std::string_view problem) {
  throw Error(ErrorCode::kDamaged, fmt::format("invalid manifest: {}", problem));
}

void PutManifestHeader(const ManifestHeader& header, ByteWriter* out) {
  out->PutU8(static_cast<uint8_t>(ManifestEntryType::kHeader));
  out->PutBytes(AsBytes(kManifestMagic));
  out->PutVarint(header.version);
  out->PutU64(header.system_identifier);
  out->PutString(header.backup_id);
  out->PutString(header.parent_id);
  out->PutVarint(header.page_bytes);
}

ManifestHeader GetManifestHeader(ByteReader* in) {
  if (AsText(in->GetBytes(kManifestMagic.size())) != kManifestMagic) {
    ThrowDamagedManifest("does not begin as one");
  }
  ManifestHeader header;
  header.version = GetU32Varint(in);
  if (header.version > kManifestVersion) {
    throw Error(ErrorCode::kUnsupportedFormat,
                fmt::format("cannot read manifest of version {}", header.version),
                fmt::format("This program reads versions up to {}.", kManifestVersion),
                "Use the version of backup_ext that wrote the backup, or a newer one.");
  }
  header.system_identifier = in->GetU64();
  header.backup_id = in->GetString();
  header.parent_id = in->GetString();
  header.page_bytes = GetU32Varint(in);
  return header;
}

void PutManifestPack(const PackId& pack, ByteWriter* out) {
  out->PutU8(static_cast<uint8_t>(ManifestEntryType::kPack));
  out->PutString(pack.backup_id);
  out->PutVarint(pack.thread);
  out->PutVarint(pack.number);
}

PackId GetManifestPack(ByteReader* in) {
  PackId pack;
  pack.backup_id = in->GetString();
  pack.thread = GetU32Varint(in);
  pack.number = GetU32Varint(in);
  // It becomes a part of an object's name.
  if (!IsBackupId(pack.backup_id)) {
    ThrowDamagedManifest("pack has an invalid backup id");
  }
  return pack;
}

void PutManifestTotals(const ManifestTotals& totals, ByteWriter* out) {
  out->PutU8(static_cast<uint8_t>(ManifestEntryType::kEnd));
  out->PutVarint(totals.files);
  out->PutVarint(totals.directories);
  out->PutVarint(totals.size_bytes);
}

ManifestTotals GetManifestTotals(ByteReader* in) {
  ManifestTotals totals;
  totals.files = in->GetVarint();
  totals.directories = in->GetVarint();
  totals.size_bytes = in->GetVarint();
  return totals;
}

void PutManifestEntry(const ManifestEntry& entry, ByteWriter* out) {
  out->PutU8(static_cast<uint8_t>(entry.kind));
  out->PutU8(static_cast<uint8_t>(entry.file_kind));
  out->PutString(entry.path);
  out->PutString(entry.link_target);
  out->PutVarint(entry.mode);
  out->PutVarint(entry.uid);
  out->PutVarint(entry.gid);
  out->PutVarint(entry.size_bytes);
  out->PutVarint(entry.inode);
  out->PutSignedVarint(entry.mtime_ns);
  out->PutSignedVarint(entry.ctime_ns);
  out->PutSignedVarint(entry.birth_ns);
  out->PutSignedVarint(entry.read_at);
  out->PutVarint(entry.xattrs.size());
  for (const auto& [name, value] : entry.xattrs) {
    out->PutString(name);
    out->PutString(value);
  }
  if (HasContent(entry.kind)) {
    out->PutBytes(entry.content);
    EncodePageMap(entry.map, out);
  }
}

ManifestEntry GetManifestEntry(EntryKind kind, ByteReader* in) {
  ManifestEntry entry;
  entry.kind = kind;
  const uint8_t file_kind = in->GetU8();
  if (file_kind > static_cast<uint8_t>(FileKind::kSparse)) {
    ThrowDamagedManifest("unknown kind of file");
  }
  entry.file_kind = static_cast<FileKind>(file_kind);
  entry.path = in->GetString();
  entry.link_target = in->GetString();
  entry.mode = GetU32Varint(in);
  entry.uid = GetU32Varint(in);
  entry.gid = GetU32Varint(in);
  entry.size_bytes = in->GetVarint();
  entry.inode = in->GetVarint();
  entry.mtime_ns = in->GetSignedVarint();
  entry.ctime_ns = in->GetSignedVarint();
  entry.birth_ns = in->GetSignedVarint();
  entry.read_at = in->GetSignedVarint();
  for (uint64_t left = in->GetVarint(); left > 0; --left) {
    std::string name = in->GetString();
    if (!entry.xattrs.empty() && name <= entry.xattrs.rbegin()->first) {
      ThrowDamagedEntry("extended attributes are out of order", entry);
    }
    entry.xattrs.emplace_hint(entry.xattrs.end(), std::move(name), in->GetString());
  }
  if (HasContent(kind)) {
    const ByteSpan content = in->GetBytes(entry.content.size());
    std::copy(content.begin(), content.end(), entry.content.begin());
    entry.map = DecodePageMap(in);
  }
  return entry;
}

bool IsManifestPath(std::string_view path) {
  if (path.find('\0') != std::string_view::npos) {
    return false;
  }
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view component = path.substr(0, slash);
    if (component.empty() || component == "." || component == "..") {
      return false;
    }
    if (slash == std::string_view::npos) {
      return true;
    }
    path.remove_prefix(slash + 1);
  }
}

void ManifestPosition::Begin(const ManifestHeader& header) {
  if (!IsBackupId(header.backup_id) ||
      (!header.parent_id.empty() && !IsBackupId(header.parent_id))) {
    ThrowDamagedManifest("invalid backup id");
  }
  if (!std::has_single_bit(header.page_bytes) || header.page_bytes < 1024 ||
      header.page_bytes > 32768) {
    ThrowDamagedManifest("impossible page size");
  }
  page_bytes = header.page_bytes;
}

void ManifestPosition::Advance(const ManifestEntry& entry) {
  CheckAttributes(entry);
  CheckContent(entry, page_bytes, packs);
  if (entry.kind == EntryKind::kRemoved && !in_second_section) {
    ThrowDamagedEntry("removal in the first section", entry);
  }
  if (entry.path <= path_before) {
    ThrowDamagedEntry("entries are out of order", entry);
  }
  path_before = entry.path;
  if (HasContent(entry.kind)) {
    ++totals.files;
    totals.size_bytes += entry.size_bytes;
  } else if (entry.kind == EntryKind::kDirectory) {
    ++totals.directories;
  }
}

void ManifestPosition::BeginSecondSection() {
  if (in_second_section) {
    ThrowDamagedManifest("second section begins twice");
  }
  in_second_section = true;
  path_before.clear();
}

}  // namespace backup_ext
