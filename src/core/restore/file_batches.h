// The threads of a restore that write files. Small files go to them in batches: their frames are
// shared.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/worker_pool.h"
#include "format/manifest.h"
#include "restore/file_writer.h"

namespace backup_ext {

class FileBatches {
 public:
  // What a thread's writer works with. `should_stop` says that the run has failed or was given up.
  using MakeSurroundings =
      std::function<FileWriter::Surroundings(std::function<bool()> should_stop)>;
  // Writes one file, on one of the threads. Throws Error.
  using WriteOne = std::function<void(const ManifestEntry& entry, FileWriter* writer)>;

  // `pause_point` outlives it; it is called about every 100 ms, in the thread that adds.
  FileBatches(int threads, const MakeSurroundings& surroundings, WriteOne write_one,
              const std::function<void()>& pause_point);

  // Throws what a thread has thrown, and what `pause_point` throws.
  void Add(ManifestEntry entry);
  // The same; returns when all files are written.
  void Finish();
  void MaybePause();

  [[nodiscard]] bool stop_requested() const { return pool_.stop_requested(); }
  // Of all writers; after Finish().
  [[nodiscard]] uint64_t kept_bytes() const;

 private:
  void Post();

  const WriteOne write_one_;
  const std::function<void()>& pause_point_;
  std::vector<ManifestEntry> batch_;
  uint64_t batch_bytes_ = 0;
  Microseconds next_pause_ = 0;
  std::vector<std::unique_ptr<FileWriter>> writers_;
  WorkerPool pool_;  // last: joined before anything that its threads use goes away
};

}  // namespace backup_ext
