// The stage that a directory holds already: what is right in it need not be written again.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/repository.h"

namespace backup_ext {

struct EarlierStage {
  std::string stage_id;  // empty: it was interrupted before it had a marker
  // The stage, its `.tablespaces`, its tablespaces elsewhere and its media, as far as they are
  // there.
  std::vector<std::string> directories;
  // Tablespaces elsewhere that its marker names, whether they are there or not.
  std::vector<std::string> tablespaces;
  std::vector<std::string> media;  // those of `directories` that are for media
  std::string socket_directory;    // in /tmp; empty: it has none there
};

// The stage in `directory`, ready or not, that may be built upon; nothing when the directory is
// missing, empty or no stage of ours. Throws Error(kNotInPrerequisiteState) for one that a server
// runs on, that was or is being activated, that was moved there, or that holds a data directory
// that was replaced; Error(kWrongCluster) for one of another repository or cluster;
// Error(kAlreadyExists) while another restore fills it. `media_directory`: where media shall be
// now; it is the earlier stage's when that stage's marker names it, under whatever name, and it
// carries that stage's marker too or nothing. Changes nothing.
[[nodiscard]] std::optional<EarlierStage> FindEarlierStage(const std::string& directory,
                                                           const Repository& repository,
                                                           const std::string& media_directory);

// Bytes of each file system (device number) that its files occupy.
[[nodiscard]] std::map<dev_t, uint64_t> OccupiedBytes(const EarlierStage& stage,
                                                      const std::function<void()>& pause_point);

}  // namespace backup_ext
