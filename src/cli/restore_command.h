// `backup_ext restore`: the same staged copy that backup_stage_restore() makes.
#pragma once

#include <string>

namespace backup_ext {

struct RestoreOptions {
  std::string backup_id;
  std::string directory;
  int threads = 0;
  int port = 5432;
  std::string bin_directory;
};
void RunRestore(const std::string& repository, const RestoreOptions& options);

}  // namespace backup_ext
