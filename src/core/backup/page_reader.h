// Reads a piece of a file while the server writes to it, and tells damage from pages in flight.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backup/damage_list.h"
#include "base/bytes.h"
#include "base/clock.h"

namespace backup_ext {

struct CopyEnvironment;

// One file, or a segment of a relation's fork, open for reading.
struct ReadableFile {
  int fd = -1;
  std::string_view path;         // in the manifest
  const std::string* disk_path;  // for messages
  bool is_relation = false;      // it holds pages
  uint32_t segment = 0;
  uint32_t database_oid = 0;
};

// One a thread.
class PageReader {
 public:
  // `environment` must outlive it.
  explicit PageReader(const CopyEnvironment* environment) : environment_(environment) {}

  // Fills `buffer` from `offset_bytes` of the file. What lies past its end reads as zeroes: it was
  // truncated since its size was taken, and replay brings back what belongs there.
  //
  // Where the cluster has checksums, every whole page of a relation is judged; `offset_bytes` is a
  // multiple of the page size then. A page with a wrong one is
  // - fine when its LSN lies between the backup's start and the newest WAL position: it was read in
  //   the middle of a write, and replay begins with a full image of it;
  // - read again otherwise, for the write may be of hint bits, or not far enough to show a new LSN;
  // - damaged when it stays bad and did not change for 10 ms at least. It is left as it is, and
  //   named in `*damage`.
  // Returns early when the run is to stop.
  void Read(const ReadableFile& file, uint64_t offset_bytes, std::span<std::byte> buffer,
            DamageList* damage);

 private:
  struct Suspect {
    size_t begin = 0;  // in the buffer
    Microseconds first_read_at = 0;
    Microseconds unchanged_since = 0;
    bool settled = false;  // bad twice, alike, far enough apart
  };

  [[nodiscard]] uint32_t BlockOf(const ReadableFile& file, uint64_t offset_bytes) const;
  [[nodiscard]] bool IsFine(ByteSpan page, uint32_t block) const;
  [[nodiscard]] std::vector<Suspect> FindSuspects(const ReadableFile& file, uint64_t offset_bytes,
                                                  ByteSpan buffer) const;
  void Settle(const ReadableFile& file, uint64_t offset_bytes, std::span<std::byte> buffer,
              std::vector<Suspect> suspects, DamageList* damage);
  [[nodiscard]] bool ReadsFineNow(const ReadableFile& file, uint64_t offset_bytes,
                                  std::span<std::byte> page, Suspect* suspect);
  [[nodiscard]] DamagedPage Name(const ReadableFile& file, uint64_t offset_bytes,
                                 ByteSpan page) const;

  const CopyEnvironment* environment_;
  Bytes scratch_;
};

}  // namespace backup_ext
