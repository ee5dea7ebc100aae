// A tar archive as pg_basebackup writes it: POSIX ustar, sizes of 8 GB and more in base 256.
//
// A name that does not fit into a header (100 bytes) goes into a pax header before it:
// pg_basebackup refuses such files, every tar program reads them. Source: src/port/tar.c,
// tarCreateHeader(), print_tar_number().
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace backup_ext {

inline constexpr size_t kTarBlockBytes = 512;

struct TarMember {
  std::string name;  // relative, a directory without a slash at its end
  uint64_t size_bytes = 0;
  uint32_t mode = 0600;
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime_seconds = 0;
};

// Not thread-safe. `sink` is given the archive's bytes in order, about 64 KiB a time.
class TarWriter {
 public:
  using Sink = std::function<void(ByteSpan)>;
  explicit TarWriter(Sink sink);

  void AddDirectory(const TarMember& member);
  void AddFile(const TarMember& member, std::string_view content);
  // A file in pieces: exactly `size_bytes` of them, or EndFile() throws Error(kInternal).
  void BeginFile(const TarMember& member);
  void Write(ByteSpan bytes);
  void EndFile();
  // The two empty blocks at the end, and what is still buffered.
  void Finish();

 private:
  void PutHeader(const TarMember& member, char type);
  void PutPaxHeader(const TarMember& member);
  void Pad(uint64_t size_bytes);
  void Put(ByteSpan bytes);
  void Flush();

  Sink sink_;
  Bytes buffer_;
  uint64_t expected_bytes_ = 0;
  uint64_t written_bytes_ = 0;
};

// The size of a member with its header and padding, pax header not counted.
[[nodiscard]] uint64_t TarMemberBytes(uint64_t size_bytes);

}  // namespace backup_ext
