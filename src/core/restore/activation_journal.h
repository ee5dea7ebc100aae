// The journal of an activation: `<data directory>.backup_ext_activation`, beside the data
// directory.
//
// It is there before anything is changed and says all that is needed to finish or to roll back. How
// far the change came is read from the file system: which inode has the data directory's name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace backup_ext {

enum class ActivationState {
  kActivating,  // until the exchange it can be rolled back, from then on it is finished
  kActivated,   // there is a way back
  kUndoing,     // always finished
};

// What becomes of the stage's postgresql.conf.
enum class ConfigurationFate {
  kKeep,
  kRemove,    // the origin's lies outside the data directory
  kOriginal,  // it stood in for one of the origin's data directory
};

struct ActivationJournal {
  ActivationState state = ActivationState::kActivating;
  std::string stage_id;
  std::string data_directory;   // resolved, absolute; the name that is exchanged
  std::string stage_directory;  // likewise; holds the replaced tree afterwards
  // The tree's directories, which keep their inodes under whatever name. Device numbers are not
  // kept: they may change when the machine is started.
  uint64_t new_inode = 0;
  uint64_t old_inode = 0;  // 0: there was no data directory
  // One rename; both empty when the stage has no tablespaces beside it, or cannot rename them.
  std::string tablespaces_from;
  std::string tablespaces_to;
  ConfigurationFate configuration = ConfigurationFate::kKeep;
  Microseconds began_at = 0;
};

[[nodiscard]] std::string ActivationJournalPath(const std::string& data_directory);

// Nothing when there is none. Throws Error(kDamaged) for one that cannot be read.
[[nodiscard]] std::optional<ActivationJournal> ReadActivationJournal(
    const std::string& data_directory);
// Durably, for the owner of the stage or the data directory.
void WriteActivationJournal(const ActivationJournal& journal);
void RemoveActivationJournal(const std::string& data_directory);

// The mark: a stage that is to become the server at its next start. One file beside the data
// directory, `<data directory>.backup_ext_next`.
struct NextStageMark {
  std::string stage_directory;
  bool replace_other_cluster = false;
};
void WriteNextStageMark(const std::string& data_directory, const NextStageMark& mark);
[[nodiscard]] std::optional<NextStageMark> ReadNextStageMark(const std::string& data_directory);
// True when there was one.
bool RemoveNextStageMark(const std::string& data_directory);

}  // namespace backup_ext
