// The guards: the settings that make a copy harmless, however it is started.
//
// They go to the end of postgresql.auto.conf, which no other file overrides. What each prevents is
// said in the file itself, for the person who reads it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "format/record.h"

namespace backup_ext {

struct GuardFacts {
  std::string stage_id;
  std::string directory;         // of the stage
  std::string socket_directory;  // absolute
  int port = 5432;
  bool has_timeline_history = false;  // of the timeline to recover to
  bool has_in_place_tablespace = false;
};

// The timeline on which the copy becomes consistent.
[[nodiscard]] uint32_t TargetTimeline(const BackupRecord& record);

// The whole postgresql.auto.conf of the copy: the origin's lines but for the settings that are
// guards, then the guards.
[[nodiscard]] std::string StageAutoConf(std::string_view origin_text, const BackupRecord& record,
                                        const GuardFacts& facts);

// The postgresql.auto.conf with which a stage that becomes the server goes through its recovery:
// the origin's lines but for recovery, then what `guarded_text` (of StageAutoConf()) says of
// recovery. `recovery_end_command`: run by the server in its data directory when recovery is over.
[[nodiscard]] std::string RecoveringAutoConf(std::string_view origin_text,
                                             std::string_view guarded_text,
                                             std::string_view recovery_end_command);

}  // namespace backup_ext
