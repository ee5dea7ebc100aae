// What lives in shared memory: the jobs, and what the launcher knows.
//
// Plain data and lock-free atomics, no pointers into a process. Everything but the atomics is
// protected by `lock`.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/progress.h"

#include "boundary.h"
#include "postgres_headers.h"

namespace backup_ext {

inline constexpr int kMaxJobs = 8;
inline constexpr size_t kIdRoom = 64;
inline constexpr size_t kLabelRoom = 256;

enum class JobKind : uint32_t { kBackup, kStage, kVerify, kExport, kExpire };
[[nodiscard]] inline const char* OperationName(JobKind kind) {
  switch (kind) {
    case JobKind::kBackup:
      return "backup";
    case JobKind::kStage:
      return "restore";
    case JobKind::kVerify:
      return "verify";
    case JobKind::kExport:
      return "export";
    case JobKind::kExpire:
      return "expire";
  }
  return "unknown";
}
enum class JobState : uint32_t {
  kFree,
  kRequested,  // a worker was asked for
  kRunning,
  kSucceeded,
  kFailed,
};

// What a worker is asked to do.
struct JobRequest {
  JobKind kind;
  char job_id[kIdRoom];
  char backup_id[kIdRoom];  // of the new backup; for a stage the one to restore, or "latest"
  char label[kLabelRoom];   // UTF-8
  char trigger[16];         // "manual", "schedule", "safety"
  char backup_kind[16];     // "auto", "full", "incremental"
  bool fast_checkpoint;
  bool include_media;         // backup and stage
  char directory[MAXPGPATH];  // stage and export; of a stage empty: below the staging directory
  // Of the schedule only: the opening of the window that asked for it, and when it was started in
  // an open window; 0: a missed one is made up for.
  TimestampTz window_opened_at;
  TimestampTz begun_in_window_at;
  // Stage only.
  char stage_id[kIdRoom];
  char safety_backup_id[kIdRoom];  // empty: no safety backup
  char tablespace_map[4096];       // JSON as ParseTablespaceMap() reads it; empty: none
  // Export only.
  char export_format[16];
  // Verify only: the dsm_handle of who waits for the rows (verify_rows.h); 0: nobody.
  uint32 rows_segment;
};

// What a job has to show at its end.
struct RunFigures {
  char kind[16];          // of a backup: "full", "incremental"; empty: not known yet
  uint64 database_bytes;  // 0: what `progress` counted
  uint64 stored_bytes;
  uint64 freed_bytes;
  uint64 files;  // 0: what `progress` counted
};

// Why a job is slower than it could be; bits of JobSlot::slowed_by.
enum SlowedBy : uint32_t {
  kSlowedByMaxRate = 1,
  kSlowedByReplicationLag = 2,
  kSlowedByCommitLatency = 4,
  kSlowedByActiveBackends = 8,
  kSlowedByWindowEnd = 16,
  kSlowedByBusyProcessors = 32,
};

// Notice number n lies in texts[n % kNoticeRoom]; of more than kNoticeRoom the oldest are lost.
inline constexpr uint32 kNoticeRoom = 8;
struct NoticeQueue {
  uint32 next;  // number of the next one
  char texts[kNoticeRoom][1024];
};

struct JobSlot {
  JobState state;
  uint64 generation;  // counts the uses of this slot
  JobRequest request;
  pid_t worker_pid;
  pid_t waiter_pid;  // 0: nobody waits, the worker frees the slot itself
  TimestampTz started_at;
  std::atomic<bool> cancel_requested;
  Progress progress;
  std::atomic<uint64_t> bytes_per_second;  // of the last seconds, 0: not known yet
  std::atomic<uint32_t> slowed_by;         // bits of SlowedBy
  RunFigures figures;                      // written by the worker alone
  bool ended_with_window;                  // cancelled because its window had closed
  bool locked_out;                         // another writer had the repository: nothing failed
  PlainError error;                        // of kFailed
  char warning[1024];                      // for the caller, at the end
  NoticeQueue notices;                     // for the caller at once; under the lock
};

// How a job ended, for who is told.
struct JobEnd {
  JobRequest request;
  RunFigures figures;
  TimestampTz started_at;
  TimestampTz finished_at;
  bool succeeded;
  PlainError error;
};

// The ends of jobs that are still to be told. End number n lies in ends[n % kEventRoom]; of more
// than kEventRoom the oldest are lost.
inline constexpr uint64 kEventRoom = 16;
struct EventQueue {
  uint64 next;          // number of the next one
  uint64 command_next;  // the first one that event_command was not run for
  uint64 notify_next;   // the first one that no session was notified of
  JobEnd ends[kEventRoom];
};

// What the server has to do while no backup runs: means of the launcher's looks.
struct UsualLoadState {
  int64 looks;
  int64 at;  // by MonotonicNow()
  double active_backends;
  double commits_per_second;
  double replication_lag_bytes;
};

struct SharedState {
  LWLock* lock;
  pid_t launcher_pid;  // 0: not running
  Latch* launcher_latch;
  uint64 next_generation;
  // Of the automatic backups of this postmaster's life.
  TimestampTz last_automatic_failure;  // 0: none
  int32 automatic_failures_in_a_row;
  int32 failures_of_window;           // in a row, of the opening below
  TimestampTz failed_window;          // 0: none
  TimestampTz last_automatic_cancel;  // when somebody ended one; 0: nobody did
  TimestampTz last_locked_out;        // when one met another writer; 0: none did
  TimestampTz last_cut_off;           // when one was ended by its window; 0: none, or done since
  char last_automatic_error[1024];
  char schedule_note[256];  // why the launcher does or does not start a backup now
  bool schedule_troubled;   // the launcher's last look failed; the note says how
  // Before this the server was down, or another one ran the schedule.
  TimestampTz up_since;
  TimestampTz scheduled_since;  // switched on or moved by a reload; 0: as when the server started
  // Of the launcher's last look, in the server's time zone; 0: there was none yet.
  TimestampTz window_opened_at;  // the newest opening, closed since or not
  TimestampTz window_closes_at;  // 0: it is closed
  TimestampTz window_opens_at;   // the next opening
  TimestampTz next_run_at;       // of the schedule; 0: none is to be expected
  // Of the verifies of this postmaster's life, whoever asked for them.
  TimestampTz last_verify_end;      // one that came to its end; 0: none
  TimestampTz last_verify_failure;  // 0: none, or one came to its end since
  int32 verify_failures_in_a_row;
  // Crashes that this postmaster survived, and when the server began to run after the last one.
  int32 crashes;
  TimestampTz last_crash;  // 0: none
  JobSlot jobs[kMaxJobs];
  EventQueue events;
  UsualLoadState usual_load;
};

// A worker was asked for, or is at work. Under `lock`.
[[nodiscard]] inline bool IsLive(const JobSlot& slot) {
  return slot.state == JobState::kRequested || slot.state == JobState::kRunning;
}

// Installs the hooks. From _PG_init in the postmaster.
void RequestSharedState();
// Null when the library was not preloaded.
[[nodiscard]] SharedState* GetSharedState();

}  // namespace backup_ext
