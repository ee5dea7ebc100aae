// Arguments of a backup that several functions take.
#pragma once

#include <string>

namespace backup_ext {

// Throws Error for a kind that does not exist and for what this version does not support.
void CheckBackupArguments(const std::string& kind, bool include_media);

}  // namespace backup_ext
