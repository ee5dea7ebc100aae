// One file of a backup, from its frames: is it what was backed up? One checker a thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/bytes.h"
#include "base/progress.h"
#include "cluster/wal_check.h"
#include "format/manifest.h"
#include "format/record.h"
#include "store/frame_source.h"
#include "store/known_packs.h"
#include "verify/problem_list.h"

namespace backup_ext {

class FileChecker {
 public:
  // What it refers to must outlive it. `should_stop` is asked after each frame.
  struct Surroundings {
    const Repository* repository;
    const BackupRecord* record;
    const KnownPacks* packs;
    ProblemList* problems;
    Progress* progress;
    std::function<bool()> should_stop;
    size_t open_packs = kMostOpenPacks;
  };
  explicit FileChecker(Surroundings surroundings);

  // Reads the whole file, beyond damage too, and adds it to the problems where it is not sound.
  // Throws what ends a verify: the repository is gone.
  void Check(const ManifestEntry& entry);
  // The same for a WAL segment, the next one of the chain.
  void CheckWal(const ManifestEntry& entry, WalCheck* chain);

 private:
  struct Findings;
  // What is done with the bytes besides: null bytes stand for `count` that could not be read.
  using Piece = std::function<void(ByteSpan bytes, uint64_t count)>;
  void CheckContent(const ManifestEntry& entry, Findings* findings, const Piece& piece);
  void CheckMeaning(const ManifestEntry& entry, ByteSpan content, Findings* findings);
  void Report(const ManifestEntry& entry, const Findings& findings);

  Surroundings at_;
  FrameSource frames_;
};

}  // namespace backup_ext
