// A tar archive as pg_basebackup writes it: POSIX ustar, sizes of 8 GB and more in base 256.
#include "restore/tar_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace backup_ext {
namespace {

constexpr size_t kBufferBytes = 64 * 1024;
constexpr size_t kNameBytes = 100;
constexpr char kTypeFile = '0';
constexpr char kTypeDirectory = '5';
constexpr char kTypePax = 'x';

// Where the fields of a header are.
// Source: src/include/pgtar.h.
struct HeaderField {
  size_t offset;
  size_t bytes;
};
constexpr HeaderField kMode = {100, 8};
constexpr HeaderField kUid = {108, 8};
constexpr HeaderField kGid = {116, 8};
constexpr HeaderField kSize = {124, 12};
constexpr HeaderField kMtime = {136, 12};
constexpr HeaderField kChecksum = {148, 8};
constexpr size_t kType = 156;
constexpr size_t kMagic = 257;
constexpr size_t kUserName = 265;
constexpr size_t kGroupName = 297;
constexpr HeaderField kDeviceMajor = {329, 8};
constexpr HeaderField kDeviceMinor = {337, 8};

using Header = std::array<char, kTarBlockBytes>;

// Octal digits and a blank where they suffice, else base 256.
void PutNumber(Header* header, const HeaderField& field, uint64_t value) {
  char* const begin = header->data() + field.offset;
  size_t length = field.bytes;
  if (value < (1ULL << ((length - 1) * 3))) {
    begin[--length] = ' ';
    for (; length > 0; value >>= 3) begin[--length] = static_cast<char>('0' + (value & 7));
    return;
  }
  for (; length > 1; value >>= 8) begin[--length] = static_cast<char>(value & 255);
  begin[0] = static_cast<char>(0x80);
}

// The sum of all bytes, its own field taken for blanks.
uint64_t ChecksumOf(const Header& header) {
  uint64_t sum = kChecksum.bytes * ' ';
  for (size_t i = 0; i < header.size(); ++i) {
    if (i >= kChecksum.offset && i < kChecksum.offset + kChecksum.bytes) continue;
    sum += static_cast<unsigned char>(header[i]);
  }
  return sum;
}

Header MakeHeader(const TarMember& member, char type) {
  Header header{};
  const std::string name = type == kTypeDirectory ? member.name + "/" : member.name;
  std::memcpy(header.data(), name.data(), std::min(name.size(), kNameBytes - 1));
  PutNumber(&header, kMode, member.mode & 07777);
  PutNumber(&header, kUid, member.uid);
  PutNumber(&header, kGid, member.gid);
  PutNumber(&header, kSize, type == kTypeDirectory ? 0 : member.size_bytes);
  PutNumber(&header, kMtime, static_cast<uint64_t>(std::max<int64_t>(0, member.mtime_seconds)));
  header[kType] = type;
  std::memcpy(header.data() + kMagic, "ustar\00000", 8);
  std::memcpy(header.data() + kUserName, "postgres", 8);
  std::memcpy(header.data() + kGroupName, "postgres", 8);
  PutNumber(&header, kDeviceMajor, 0);
  PutNumber(&header, kDeviceMinor, 0);
  PutNumber(&header, kChecksum, ChecksumOf(header));
  return header;
}

// `<length> path=<name>\n`, the length that of the whole.
std::string PaxRecord(std::string_view name) {
  const std::string rest = fmt::format(" path={}\n", name);
  size_t length = rest.size() + 1;
  while (fmt::formatted_size("{}", length) + rest.size() != length) {
    length = fmt::formatted_size("{}", length) + rest.size();
  }
  return fmt::format("{}{}", length, rest);
}

}  // namespace

TarWriter::TarWriter(Sink sink) : sink_(std::move(sink)) { buffer_.reserve(kBufferBytes); }

void TarWriter::AddDirectory(const TarMember& member) { PutHeader(member, kTypeDirectory); }

void TarWriter::AddFile(const TarMember& member, std::string_view content) {
  TarMember sized = member;
  sized.size_bytes = content.size();
  BeginFile(sized);
  Write(AsBytes(content));
  EndFile();
}

void TarWriter::BeginFile(const TarMember& member) {
  PutHeader(member, kTypeFile);
  expected_bytes_ = member.size_bytes;
  written_bytes_ = 0;
}

void TarWriter::Write(ByteSpan bytes) {
  written_bytes_ += bytes.size();
  Put(bytes);
}

void TarWriter::EndFile() {
  if (written_bytes_ != expected_bytes_) {
    throw Error(ErrorCode::kInternal,
                fmt::format("{} bytes of a tar member were written instead of {}", written_bytes_,
                            expected_bytes_));
  }
  Pad(written_bytes_);
}

void TarWriter::Finish() {
  const Bytes end(2 * kTarBlockBytes);
  Put(end);
  Flush();
}

void TarWriter::PutHeader(const TarMember& member, char type) {
  const size_t name_bytes = member.name.size() + (type == kTypeDirectory ? 1 : 0);
  if (name_bytes >= kNameBytes) PutPaxHeader(member);
  const Header header = MakeHeader(member, type);
  Put(std::as_bytes(std::span(header)));
}

void TarWriter::PutPaxHeader(const TarMember& member) {
  const std::string record = PaxRecord(member.name);
  TarMember pax = member;
  pax.name = fmt::format("PaxHeaders/{}", BaseName(member.name).substr(0, 80));
  pax.size_bytes = record.size();
  const Header header = MakeHeader(pax, kTypePax);
  Put(std::as_bytes(std::span(header)));
  Put(AsBytes(record));
  Pad(record.size());
}

void TarWriter::Pad(uint64_t size_bytes) {
  static constexpr std::array<std::byte, kTarBlockBytes> kZeros{};
  Put(ByteSpan(kZeros).first((kTarBlockBytes - size_bytes % kTarBlockBytes) % kTarBlockBytes));
}

void TarWriter::Put(ByteSpan bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) Flush();
  if (bytes.size() >= kBufferBytes) {
    sink_(bytes);
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
}

void TarWriter::Flush() {
  if (!buffer_.empty()) sink_(buffer_);
  buffer_.clear();
}

uint64_t TarMemberBytes(uint64_t size_bytes) {
  return kTarBlockBytes + (size_bytes + kTarBlockBytes - 1) / kTarBlockBytes * kTarBlockBytes;
}

}  // namespace backup_ext
