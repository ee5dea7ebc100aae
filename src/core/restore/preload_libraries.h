// Which of the origin's preloaded libraries a copy loads too.
//
// A library that is preloaded can start workers and open ports; it can run jobs, publish, call
// other machines. What it does is not written down anywhere, so a copy gets only those of a list:
// known to do nothing by themselves, or needed to read the data. One that is left out can be put
// back by hand.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace backup_ext {

struct FilteredLibraries {
  std::string kept;  // as the server wants the list
  std::vector<std::string> removed;
  std::vector<std::string> kept_names;
};
// `list` is a shared_preload_libraries. Names are those of the files, without directory and ".so".
[[nodiscard]] FilteredLibraries FilterLibraries(std::string_view list);

}  // namespace backup_ext
