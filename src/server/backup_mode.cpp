// Backup mode of the server.
#include "backup_mode.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "base/error.h"
#include "base/lsn.h"
#include "cluster/control_file.h"
#include "format/record.h"

#include "guard.h"
#include "postgres_headers.h"

namespace backup_ext {
namespace {

constexpr size_t kRelationMapLimitBytes = 8192;

// Reads a small file whole into `buffer`; -1 when it does not exist. Raises an error otherwise.
ssize_t ReadSmallFile(const char* path, char* buffer, size_t room) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) return -1;
    ereport(ERROR, (errcode_for_file_access(), errmsg("could not open file \"%s\": %m", path)));
  }
  size_t length = 0;
  while (length < room) {
    const ssize_t count = read(fd, buffer + length, room - length);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error_number = errno;
      close(fd);
      errno = error_number;
      ereport(ERROR, (errcode_for_file_access(), errmsg("could not read file \"%s\": %m", path)));
    }
    if (count == 0) break;
    length += static_cast<size_t>(count);
  }
  close(fd);
  return static_cast<ssize_t>(length);
}

#if PG_VERSION_NUM < 160000
// 15 tells the checkpoint's place only in the label that it writes.
uint64_t CheckpointOfLabel(const std::string& label_file) {
  static constexpr char kKey[] = "CHECKPOINT LOCATION: ";
  const size_t begin = label_file.find(kKey);
  if (begin == std::string::npos) return 0;
  const size_t value = begin + sizeof(kKey) - 1;
  return ParseLsn(label_file.substr(value, label_file.find('\n', value) - value));
}
#endif

}  // namespace

struct BackupMode::State {
#if PG_VERSION_NUM >= 160000
  ::BackupState* backup = nullptr;
#else
  char* label_file = nullptr;
#endif
};

BackupMode::BackupMode() : state_(std::make_unique<State>()) {}
BackupMode::~BackupMode() = default;

StartedBackup BackupMode::Begin(const std::string& label, Checkpoint checkpoint) {
  const char* const label_text = label.c_str();
  const bool fast = checkpoint == Checkpoint::kFast;
  StartedBackup started;
  const char* label_file = nullptr;
  XLogRecPtr start_lsn = InvalidXLogRecPtr;
  TimeLineID timeline = 0;
  bool in_recovery = false;

  CallPostgres([&] {
    in_recovery = RecoveryInProgress();
    register_persistent_abort_backup_handler();
    StringInfo tablespace_map = makeStringInfo();
#if PG_VERSION_NUM >= 160000
    ::BackupState* const backup = static_cast<::BackupState*>(palloc0(sizeof(::BackupState)));
    do_pg_backup_start(label_text, fast, nullptr, backup, tablespace_map);
    state_->backup = backup;
    start_lsn = backup->startpoint;
    timeline = backup->starttli;
    label_file = build_backup_content(backup, false);
#else
    StringInfo text = makeStringInfo();
    start_lsn = do_pg_backup_start(label_text, fast, &timeline, text, nullptr, tablespace_map);
    state_->label_file = text->data;
    label_file = text->data;
#endif
  });

  started.start_lsn = start_lsn;
  started.timeline = timeline;
  started.in_recovery = in_recovery;
  started.label_file = label_file;
#if PG_VERSION_NUM >= 160000
  started.checkpoint_lsn = state_->backup->checkpointloc;
#else
  started.checkpoint_lsn = CheckpointOfLabel(started.label_file);
#endif
  return started;
}

StoppedBackup BackupMode::End() {
  XLogRecPtr stop_lsn = InvalidXLogRecPtr;
  TimeLineID timeline = 0;
  CallPostgresUninterrupted([&] {
#if PG_VERSION_NUM >= 160000
    do_pg_backup_stop(state_->backup, false);
    stop_lsn = state_->backup->stoppoint;
    timeline = state_->backup->stoptli;
#else
    stop_lsn = do_pg_backup_stop(state_->label_file, false, &timeline);
#endif
  });
  return {.stop_lsn = stop_lsn, .timeline = timeline};
}

Bytes ReadControlFileUnderLock() {
  Bytes content(PG_CONTROL_FILE_SIZE);
  char* const buffer = reinterpret_cast<char*>(content.data());
  ssize_t length = 0;
  CallPostgresUninterrupted([&] {
    LWLockAcquire(ControlFileLock, LW_SHARED);
    length = ReadSmallFile(XLOG_CONTROL_FILE, buffer, PG_CONTROL_FILE_SIZE);
    LWLockRelease(ControlFileLock);
  });
  if (length != PG_CONTROL_FILE_SIZE || !ParseControlFile(content)) {
    throw Error(ErrorCode::kDamaged,
                "could not read file \"" XLOG_CONTROL_FILE "\": its checksum does not match",
                "The backup was given up: without a sound control file it could not be started.");
  }
  return content;
}

Bytes ReadRelationMapUnderLock(const std::string& path) {
  Bytes content(kRelationMapLimitBytes);
  char* const buffer = reinterpret_cast<char*>(content.data());
  const char* const path_text = path.c_str();
  ssize_t length = 0;
  CallPostgresUninterrupted([&] {
    LWLockAcquire(RelationMappingLock, LW_SHARED);
    length = ReadSmallFile(path_text, buffer, kRelationMapLimitBytes);
    LWLockRelease(RelationMappingLock);
  });
  content.resize(length < 0 ? 0 : static_cast<size_t>(length));
  return content;
}

}  // namespace backup_ext
