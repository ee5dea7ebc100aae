// Sees whether a tablespace is created while a backup runs.
//
// Replay of CREATE TABLESPACE uses the literal location and, in recovery, accepts what is there
// already (src/backend/commands/tablespace.c, create_tablespace_directories()). A copy started on
// this machine would write into the running server's files: such a backup is given up. Dropped ones
// and in-place ones do no harm.
#pragma once

#include <set>
#include <string>

namespace backup_ext {

class TablespaceWatch {
 public:
  // Begins: right before backup mode does.
  explicit TablespaceWatch(const std::string& data_directory);
  // Throws Error(kNotInPrerequisiteState) when a tablespace was created since the last look. At
  // every pause point and once after backup mode ended.
  void Check();

 private:
  struct Sight {
    std::set<std::string> links;
    std::set<std::string> others;
    int64_t changed_ns = 0;  // ctime of the directory: every link made or removed moves it
  };
  [[nodiscard]] Sight Look() const;

  std::string directory_;
  Sight last_;
};

}  // namespace backup_ext
