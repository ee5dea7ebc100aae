// One file of a backup, from its frames: checked while it is written. One writer a thread.
#pragma once

#include <functional>
#include <string>

#include "base/bytes.h"
#include "base/progress.h"
#include "format/manifest.h"
#include "format/record.h"
#include "restore/earlier_file.h"
#include "restore/postgres_manifest.h"
#include "restore/stage_tree.h"
#include "store/frame_source.h"
#include "store/known_packs.h"

namespace backup_ext {

// When the file was last written to; now, where that is not known.
[[nodiscard]] int64_t MtimeSeconds(const ManifestEntry& entry);

class FileWriter {
 public:
  // What it refers to must outlive it. `should_stop` is asked after each frame.
  struct Surroundings {
    const Repository* repository;
    const BackupRecord* record;
    const KnownPacks* packs;
    const StageTree* tree;
    PostgresManifest* manifest;
    Progress* progress;
    std::function<bool()> should_stop;
    size_t open_packs = kMostOpenPacks;
  };
  explicit FileWriter(Surroundings surroundings);

  // `tree` and `manifest` are needed by this alone. Writes the file under `destination` and adds it
  // to the server's manifest. WAL segments are filled up with zeros to their full size. Throws
  // Error(kDamaged) naming file and place.
  // The file of an earlier stage is written to only where it is wrong.
  void Write(const ManifestEntry& entry, const std::string& destination);
  // The content, of at most `limit_bytes`.
  [[nodiscard]] Bytes Read(const ManifestEntry& entry, uint64_t limit_bytes);
  // The content as Write() writes it: WAL ends where the backup does, zeros follow. Once
  // `should_stop` says so it may end early.
  using Piece = std::function<void(ByteSpan)>;
  void ForEachWrittenPiece(const ManifestEntry& entry, const Piece& piece);
  // Of earlier stages' files, what was right.
  [[nodiscard]] uint64_t kept_bytes() const { return kept_bytes_; }

 private:
  void ForEachPiece(const ManifestEntry& entry, const Piece& piece);
  void CheckedPieces(const ManifestEntry& entry, const Piece& piece);
  [[nodiscard]] ByteSpan BytesOfRun(const ManifestEntry& entry, const PageRun& run,
                                    uint64_t offset);
  void WriteNew(const ManifestEntry& entry, const std::string& destination);
  void Mend(const ManifestEntry& entry, const std::string& destination, FileDescriptor descriptor);
  [[nodiscard]] bool IsRight(const ManifestEntry& entry, EarlierFile* file, uint32_t* crc);

  Surroundings at_;
  FrameSource frames_;
  EarlierFile* earlier_ = nullptr;  // while Mend() works on it
  Bytes buffer_;                    // of WriteNew()
  uint64_t kept_bytes_ = 0;
};

}  // namespace backup_ext
