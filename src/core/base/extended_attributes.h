// Extended attributes of files, POSIX access control lists among them (system.posix_acl_...).
#pragma once

#include <map>
#include <string>

namespace backup_ext {

// All that this process may see of an open file or directory, name to value. Empty where the file
// system has none. Throws SystemError() naming `path`.
[[nodiscard]] std::map<std::string, std::string> ReadExtendedAttributes(int fd,
                                                                        const std::string& path);
// False when this process may not set it, or the file system has no such attributes. Throws
// SystemError() for any other reason.
[[nodiscard]] bool SetExtendedAttribute(int fd, const std::string& name, const std::string& value,
                                        const std::string& path);

}  // namespace backup_ext
