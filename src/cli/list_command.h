// `backup_ext list`: the catalog, for a person or a program.
#pragma once

#include <string>

namespace backup_ext {

struct ListOptions {
  bool json = false;
};
void RunList(const std::string& repository, const ListOptions& options);

}  // namespace backup_ext
