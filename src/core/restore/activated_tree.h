// What changes inside a stage when it becomes a server's data directory, and the way back.
//
// Every function can be called again after a crash in the middle of it. None touches the directory
// that is replaced.
#pragma once

#include <string>

#include "restore/activation_journal.h"

namespace backup_ext {

// The tablespaces out of the stage's neighbourhood, and the links to them: one rename, then the
// links and, for the first start, tablespace_map. `directory`: the stage, wherever it is now.
void MoveTablespacesOut(const ActivationJournal& journal, const std::string& directory);
void MoveTablespacesBack(const ActivationJournal& journal, const std::string& directory);

// The origin's configuration in force: postgresql.auto.conf as it was backed up, postgresql.conf as
// `fate` says. A stage that has not been started yet goes through its recovery first; the server
// itself then puts the origin's file in place (recovery_end_command).
void TakeGuardsAway(const std::string& directory, ConfigurationFate fate);

enum class AfterUse {
  kNeverServed,  // an activation that did not come to its exchange
  kServed,       // what ALTER SYSTEM changed since is kept for the next activation
};
void GiveGuardsBack(const std::string& directory, AfterUse use);

// stage.json <-> activated.json. One that was the server keeps a note of it: it holds what was
// written then, and no restore may write over that.
void TakeMarkerAway(const std::string& directory);
void GiveMarkerBack(const std::string& directory, AfterUse use);
[[nodiscard]] bool HasServed(const std::string& directory);

// The directory that was replaced becomes something that writes into no repository and can be
// discarded as the stage; and the way back.
void MarkReplaced(const ActivationJournal& journal, const std::string& directory);
void UnmarkReplaced(const std::string& directory);

}  // namespace backup_ext
