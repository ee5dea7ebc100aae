// Stops the worker of a job in a phase, for tests that cancel it there: preload this module after
// backup_ext and set border.stop_in_phase.
#include <signal.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "base/progress.h"

#include "border.h"

namespace backup_ext_border {
namespace {

using backup_ext::Phase;
using backup_ext::PhaseName;
using backup_ext::PhaseObserver;
using backup_ext::Progress;

char* stop_in_phase;
int stop_after_files;
bool was_stopped;  // once: who was let go must come to its end

// All threads of the process stand still with this one.
void StopProcess() { kill(getpid(), SIGSTOP); }

// In a thread of its own, which calls nothing of PostgreSQL. Ends with the phase.
void StopWhenFilesAreDone(const Progress* progress, Phase phase, uint64_t files) {
  while (progress->phase == phase) {
    if (progress->files_done >= files) return StopProcess();
    std::this_thread::yield();
  }
}

void Observe(const Progress& progress) {
  const Phase phase = progress.phase;
  if (was_stopped || strcmp(PhaseName(phase), stop_in_phase) != 0) return;
  was_stopped = true;
  if (stop_after_files == 0) return StopProcess();
  std::thread(StopWhenFilesAreDone, &progress, phase, progress.files_done + stop_after_files)
      .detach();
}

}  // namespace
}  // namespace backup_ext_border

extern "C" {

PGDLLEXPORT void _PG_init();

void _PG_init() {
  using namespace backup_ext_border;
  DefineCustomStringVariable(
      "border.stop_in_phase",
      "Stops the worker of a job in this phase, as backup_progress() shows it.", nullptr,
      &stop_in_phase, "", PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "border.stop_after_files", "Stops it when it has done so many files in the phase.", nullptr,
      &stop_after_files, 0, 0, INT_MAX, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  PhaseObserver observer = Observe;
  *find_rendezvous_variable("backup_ext_phase_observer") = reinterpret_cast<void*>(observer);
}

}  // extern "C"
