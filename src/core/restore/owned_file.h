// Small files that belong to the server's user, whoever writes them.
#pragma once

#include <string>
#include <string_view>

namespace backup_ext {

// WriteFileDurably() with mode 0600; written by root it belongs to the owner of `like`.
void WriteOwnedFile(const std::string& path, std::string_view content, const std::string& like);

// mkdir(2), mode 0700, by the same rule.
void MakeOwnedDirectory(const std::string& path, const std::string& like);

}  // namespace backup_ext
