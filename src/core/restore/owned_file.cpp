// Small files that belong to the server's user, whoever writes them.
#include "restore/owned_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/file.h"

namespace backup_ext {
namespace {

void GiveLike(const std::string& path, const std::string& like) {
  const auto owner = StatLink(like);
  if (geteuid() != 0 || !owner) return;
  if (lchown(path.c_str(), owner->st_uid, owner->st_gid) != 0) {
    throw SystemError(fmt::format("change owner of \"{}\"", path), errno);
  }
}

}  // namespace

void WriteOwnedFile(const std::string& path, std::string_view content, const std::string& like) {
  WriteFileDurably(path, AsBytes(content));
  GiveLike(path, like);
}

void MakeOwnedDirectory(const std::string& path, const std::string& like) {
  MakeDirectory(path, 0700);
  GiveLike(path, like);
}

}  // namespace backup_ext
