// Extended attributes of files.
#include "base/extended_attributes.h"

#include <fmt/core.h>
#include <sys/xattr.h>

#include <cerrno>

#include "base/error.h"

namespace backup_ext {
namespace {

bool IsNotSupported(int error_number) {
  return error_number == ENOTSUP || error_number == EOPNOTSUPP || error_number == ENOSYS;
}

// Calls `get(buffer, size)` with growing room until the whole fits. Nothing on ENODATA.
template <typename Get>
bool GetWhole(const Get& get, std::string* value) {
  while (true) {
    const ssize_t size = get(nullptr, size_t{0});
    if (size < 0) return false;
    value->resize(static_cast<size_t>(size));
    if (size == 0) return true;
    const ssize_t got = get(value->data(), value->size());
    if (got >= 0) {
      value->resize(static_cast<size_t>(got));
      return true;
    }
    if (errno != ERANGE) return false;
  }
}

}  // namespace

std::map<std::string, std::string> ReadExtendedAttributes(int fd, const std::string& path) {
  std::map<std::string, std::string> attributes;
  std::string names;
  if (!GetWhole([fd](char* buffer, size_t size) { return flistxattr(fd, buffer, size); }, &names)) {
    if (IsNotSupported(errno)) return attributes;
    throw SystemError(fmt::format("list the extended attributes of \"{}\"", path), errno);
  }
  for (size_t begin = 0; begin < names.size();) {
    const std::string name = names.c_str() + begin;
    begin += name.size() + 1;
    std::string value;
    const auto get = [&](char* buffer, size_t size) {
      return fgetxattr(fd, name.c_str(), buffer, size);
    };
    if (GetWhole(get, &value)) {
      attributes.emplace(name, std::move(value));
    } else if (errno != ENODATA && errno != EPERM && errno != EACCES && !IsNotSupported(errno)) {
      throw SystemError(fmt::format("read extended attribute \"{}\" of \"{}\"", name, path), errno);
    }
  }
  return attributes;
}

bool SetExtendedAttribute(int fd, const std::string& name, const std::string& value,
                          const std::string& path) {
  if (fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0) return true;
  // EINVAL: an access control list that names users of which this system knows nothing.
  if (errno == EPERM || errno == EACCES || errno == EINVAL || IsNotSupported(errno)) return false;
  throw SystemError(fmt::format("set extended attribute \"{}\" of \"{}\"", name, path), errno);
}

}  // namespace backup_ext
