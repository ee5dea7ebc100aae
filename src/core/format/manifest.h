// The manifest of one backup: every file, directory and link, with its page map; complete by
// itself, written and read as a stream.
//
// The stream is a sequence of frames (frame.h) whose plain bytes, one after the other, are a
// sequence of entries. An entry is a length (varint) and that many bytes: a type byte, then its
// fields. Entries are sorted by path, byte by byte, inside two sections: first the cluster as it
// was scanned, then what is known only at the end (control file, backup_label, WAL, configuration
// from outside the data directory). A pack is defined before the first page map that names it. The
// last entry is kEnd: without it the manifest was cut.
//
// A backup with media has a second manifest of the same form, for them alone. Its paths begin with
// `media/<n>`, the n-th media directory of the record.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/digest.h"
#include "format/frame.h"
#include "format/names.h"
#include "format/page_map.h"

namespace backup_ext {

enum class EntryKind : uint8_t {
  kDirectory = 1,
  kFile = 2,            // below the data directory; a tablespace's as pg_tblspc/<oid>/...
  kTablespaceLink = 3,  // pg_tblspc/<oid>; link_target is the absolute path on the origin
  kConfiguration = 4,   // a file from outside the data directory; link_target is its path there
  kRemoved = 5,         // section 2 only: the file of section 1 with this path does not belong to
                        // the backup after all (an unlogged relation found out late)
  kSymbolicLink = 6,    // media only; link_target is what it holds, any bytes
  kHardLink = 7,  // media only; link_target is the path of an earlier entry of the manifest, a
                  // file or another hard link
};

enum class FileKind : uint8_t {
  kOther = 0,          // configuration, pg_xact, maps ...
  kRelation = 1,       // main fork, in pages
  kFreeSpaceMap = 2,   // in pages; always stored whole
  kVisibilityMap = 3,  // in pages; always stored whole
  kInitFork = 4,       // in pages
  kWal = 5,            // a WAL segment; the last one of a standby may be shorter than a segment
  kControlFile = 6,    // restored last
  kTimelineHistory = 7,
  kSparse = 8,  // media only: it has holes, and gets some again where 4 KiB are zero
};

struct ManifestEntry {
  EntryKind kind = EntryKind::kFile;
  FileKind file_kind = FileKind::kOther;
  std::string path;  // relative to the data directory, no leading slash; any bytes but NUL
  std::string link_target;
  uint32_t mode = 0;  // permission bits
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t size_bytes = 0;
  // What the file was when it was read: with these an incremental backup proves that it was not
  // touched since (notes 4.5). All from one fstat() before the first byte was read.
  uint64_t inode = 0;
  int64_t mtime_ns = 0;
  int64_t ctime_ns = 0;
  // When the inode was made; 0: the file system does not tell. With it a file that was dropped and
  // made anew under the same name and inode number is known for another one.
  int64_t birth_ns = 0;
  Microseconds read_at = 0;
  // Extended attributes, name to value. Empty for a cluster's own files; media use it.
  std::map<std::string, std::string> xattrs;
  // XXH3-128 of the whole content, for files in units of one byte; all zero for files of pages.
  Digest128 content{};
  PageMap map;  // kFile and kConfiguration only
  bool operator==(const ManifestEntry&) const = default;
};

struct ManifestTotals {
  uint64_t files = 0;
  uint64_t directories = 0;
  uint64_t size_bytes = 0;  // of files and configuration
  bool operator==(const ManifestTotals&) const = default;
};

inline constexpr uint32_t kManifestVersion = 1;

struct ManifestHeader {
  uint32_t version = kManifestVersion;
  uint64_t system_identifier = 0;
  std::string backup_id;
  std::string parent_id;  // empty for a full backup
  uint32_t page_bytes = 8192;
  bool operator==(const ManifestHeader&) const = default;
};

// Turns entries into frames. `sink` receives whole frames, in order. Not thread-safe.
class ManifestWriter {
 public:
  using Sink = std::function<void(ByteSpan frame)>;
  ManifestWriter(const ManifestHeader& header, int compression_level, Sink sink);
  ~ManifestWriter();

  // The index by which FrameRef::pack names this pack; defines it on first use.
  [[nodiscard]] uint32_t PackIndex(const PackId& pack);
  // Paths must ascend inside a section; throws Error(kInternal) otherwise.
  void Add(const ManifestEntry& entry);
  void BeginSecondSection();
  // Writes kEnd and the last frame. Returns what was added.
  ManifestTotals Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Reads a manifest as a stream. `source` returns the next stored bytes (any amount), empty at the
// end. Throws Error(kDamaged) with the reason for anything that is not a whole, sound manifest, and
// Error(kUnsupportedFormat) for a newer version. Memory: one frame and one entry.
class ManifestReader {
 public:
  using Source = std::function<Bytes()>;
  explicit ManifestReader(Source source);
  ~ManifestReader();

  [[nodiscard]] const ManifestHeader& header() const;
  // The next entry, nothing after the last. Every entry is checked: path relative, no empty, "."
  // or ".." component, page map covering its size.
  [[nodiscard]] std::optional<ManifestEntry> Next();
  // True once the entries of the second section have begun.
  [[nodiscard]] bool in_second_section() const;
  // The packs defined so far; FrameRef::pack is an index into it.
  [[nodiscard]] const std::vector<PackId>& packs() const;
  // After the last entry only.
  [[nodiscard]] const ManifestTotals& totals() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// True for a path that a manifest may hold.
[[nodiscard]] bool IsManifestPath(std::string_view path);

}  // namespace backup_ext
