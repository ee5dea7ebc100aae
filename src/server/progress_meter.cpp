// How far the job of this worker is.
#include "progress_meter.h"

#include <array>

#include "base/clock.h"

namespace backup_ext {
namespace {

// The rate is that between the oldest and the newest of these, about ten seconds.
constexpr size_t kSamples = 10;
constexpr Microseconds kSamplePause = kMicrosecondsPerSecond;

struct Sample {
  Microseconds at;
  uint64_t bytes;
};
struct Meter {
  std::array<Sample, kSamples> samples;
  size_t count;  // since the counters last began anew
};
Meter meter;

// Tablespaces of the backup that has a row; 0: none has.
int mirrored_tablespaces = 0;

int64 MirroredPhase(Phase phase) {
  switch (phase) {
    case Phase::kWaitingForCheckpoint:
      return PROGRESS_BASEBACKUP_PHASE_WAIT_CHECKPOINT;
    case Phase::kEstimating:
      return PROGRESS_BASEBACKUP_PHASE_ESTIMATE_BACKUP_SIZE;
    case Phase::kCopying:
      return PROGRESS_BASEBACKUP_PHASE_STREAM_BACKUP;
    case Phase::kWaitingForWal:
    case Phase::kCommitting:
      return PROGRESS_BASEBACKUP_PHASE_TRANSFER_WAL;
    default:
      return 0;  // "initializing"
  }
}

}  // namespace

void MeterProgress(JobSlot* job) {
  const Sample now = {MonotonicNow(), job->progress.bytes_done};
  const Sample& last = meter.samples[(meter.count + kSamples - 1) % kSamples];
  if (meter.count > 0 && now.bytes < last.bytes) meter.count = 0;  // a restore after its backup
  if (meter.count > 0 && now.at - last.at < kSamplePause) return;
  if (now.bytes == 0) return;  // has not begun: waiting is no work
  const size_t oldest = meter.count < kSamples ? 0 : meter.count % kSamples;
  const Sample first = meter.count == 0 ? now : meter.samples[oldest];
  meter.samples[meter.count++ % kSamples] = now;
  if (now.at == first.at) {
    job->bytes_per_second = 0;
    return;
  }
  const double seconds = static_cast<double>(now.at - first.at) / kMicrosecondsPerSecond;
  job->bytes_per_second =
      static_cast<uint64_t>(static_cast<double>(now.bytes - first.bytes) / seconds);
}

void BeginMirror(int tablespaces) {
  pgstat_progress_start_command(PROGRESS_COMMAND_BASEBACKUP, InvalidOid);
  pgstat_progress_update_param(PROGRESS_BASEBACKUP_BACKUP_TOTAL, -1);
  pgstat_progress_update_param(PROGRESS_BASEBACKUP_TBLSPC_TOTAL, tablespaces);
  mirrored_tablespaces = tablespaces;
}

void MirrorProgress(const JobSlot& job) {
  if (mirrored_tablespaces == 0) return;
  const Phase phase = job.progress.phase;
  const uint64_t total = job.progress.bytes_total;
  const bool copied = phase == Phase::kWaitingForWal || phase == Phase::kCommitting;
  const int index[] = {PROGRESS_BASEBACKUP_PHASE, PROGRESS_BASEBACKUP_BACKUP_TOTAL,
                       PROGRESS_BASEBACKUP_BACKUP_STREAMED, PROGRESS_BASEBACKUP_TBLSPC_STREAMED};
  const int64 value[] = {MirroredPhase(phase), total == 0 ? -1 : static_cast<int64>(total),
                         static_cast<int64>(job.progress.bytes_done),
                         copied ? mirrored_tablespaces : 0};
  pgstat_progress_update_multi_param(lengthof(index), index, value);
}

void EndMirror() {
  mirrored_tablespaces = 0;
  pgstat_progress_end_command();
}

}  // namespace backup_ext
