// A staged restore: store -> a new directory beside the running server, or one that holds an
// earlier stage, of which is kept what is right.
//
// hold -> plan -> free space -> an earlier stage is taken over -> files on the pool, checked while
// written -> WAL, without the origin's tablespace locations -> recovery settings and the guards ->
// backup_manifest -> pg_control last -> fsync -> the stage is ready.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "format/record.h"
#include "restore/tablespace_mapping.h"
#include "restore/write_media.h"
#include "store/repository.h"

namespace backup_ext {

enum class MediaChoice {
  kLeaveOut,
  kInclude,
};

struct StageOptions {
  std::string stage_id;
  // Becomes the data directory of the copy. Made with its missing last part; must be empty, missing
  // or an earlier stage (earlier_stage.h), ready or interrupted. Tablespaces go to
  // `<directory>.tablespaces/<oid>`, under the same rule.
  std::string directory;
  // Tablespaces that shall lie elsewhere, each under the same rule.
  TablespaceMapping mapping;
  MediaChoice media = MediaChoice::kLeaveOut;
  // Where the n-th media directory becomes `<n>`, under the same rule; empty: `<directory>.media`.
  // What it holds of an earlier stage is removed first.
  std::string media_directory;
  int threads = 1;
  // Directories that the stage must not be, lie in, or contain: the running server's data
  // directory, its tablespaces, the repository. By path and by device and inode.
  std::vector<std::string> forbidden;
  // For the commands that backup_staged() shows: directory of pg_ctl (`pg_config --bindir`).
  std::string bin_directory;
  // Port of the copy's private socket.
  int port = 5432;
};

// What a finished stage is.
struct StageResult {
  uint64_t bytes = 0;
  uint64_t files = 0;
  uint64_t kept_bytes = 0;  // of `bytes`, those of an earlier stage that were right
  std::string start_command;
  // For `psql -h`: where the socket of the copy will be.
  std::string socket_directory;
  std::string media_directory;  // empty: without media
  MediaResult media;
  std::vector<std::string> removed_media;  // of the earlier stage, elsewhere or not wanted any more
};

// Throws what RestoreToStage() would throw before it writes anything, and writes nothing: for a
// caller that has long work to do first.
void CheckStage(const Repository& repository, const BackupRecord& record,
                const StageOptions& options, const std::function<void()>& pause_point);

// Throws what FindEarlierStage() throws, and Error: kAlreadyExists (directory not empty), kNoSpace
// (with figures, before anything is written), kInvalidArgument (forbidden place),
// kNotFound (media of a backup that holds none), kDamaged (naming backup, file and place). After an
// error, and after an exception of `pause_point` (called about every 100 ms), everything that it
// wrote is removed again; an earlier stage that it began to change is left without pg_control, and
// the error's hint tells how to continue.
[[nodiscard]] StageResult RestoreToStage(const Repository& repository, const BackupRecord& record,
                                         const StageOptions& options, Progress* progress,
                                         const std::function<void()>& pause_point);

}  // namespace backup_ext
