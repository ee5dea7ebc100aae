// Looks for init forks among the names of a directory.
#include "backup/unlogged_relations.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <optional>

namespace backup_ext {

InitForks FindInitForks(const std::vector<DirectoryEntry>& names) {
  InitForks numbers;
  for (const DirectoryEntry& name : names) {
    const std::optional<RelationFileName> file = ParseRelationFileName(name.name);
    if (file && file->fork == Fork::kInit) numbers.push_back(file->number);
  }
  std::ranges::sort(numbers);
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

bool IsExcludedAsUnlogged(const InitForks& init_forks, const RelationFileName& file) {
  return file.fork != Fork::kInit && std::ranges::binary_search(init_forks, file.number);
}

std::set<std::string> FindLateUnlogged(const std::string& data_directory,
                                       const KnownInitForks& known,
                                       const std::function<void()>& turn) {
  std::set<std::string> paths;
  for (const auto& [directory, then] : known) {
    turn();
    const auto names = ReadDirectory(JoinPath(data_directory, directory));
    if (!names) continue;  // the database was dropped: replay drops it too
    const InitForks now = FindInitForks(*names);
    InitForks late;
    std::ranges::set_difference(now, then, std::back_inserter(late));
    if (late.empty()) continue;
    for (const uint32_t number : late) {
      for (const char* fork : {"", "_fsm", "_vm"}) {
        paths.insert(fmt::format("{}/{}{}", directory, number, fork));
      }
    }
    for (const DirectoryEntry& name : *names) {
      const std::optional<RelationFileName> file = ParseRelationFileName(name.name);
      if (file && file->segment > 0 && IsExcludedAsUnlogged(late, *file)) {
        paths.insert(JoinPath(directory, name.name));
      }
    }
  }
  return paths;
}

}  // namespace backup_ext
