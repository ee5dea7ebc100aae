// What belongs in a backup: the server's rules of exclusion.
//
// Source: src/backend/backup/basebackup.c, excludeDirContents and excludeFiles (the same lists from
// 15 to 19), with our anchor: a directory is emptied at the top level only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace backup_ext {

enum class PathRule {
  kInclude,
  kEmptyDirectory,  // the directory itself, with its mode, but nothing in it
  kExclude,
};

// Whatever the extension keeps inside the data directory, here and in kClusterMemoryFile, describes
// the server that runs, not the data: it never enters a backup.
inline constexpr std::string_view kOwnStateDirectory = "backup_ext";

// The rule for a directory or file by its path relative to the data directory; `path` has no
// leading `./` and no trailing slash. Everything below an emptied or excluded directory is
// excluded. pg_wal is emptied (its archive_status and summaries too: a restore makes them anew).
// pg_control is excluded here, for it is copied last, under its lock. Excluded files are known by
// name at any depth, as the server does it. Unlogged relations are not decided here: that needs the
// other names of the directory.
[[nodiscard]] PathRule RuleForDirectory(std::string_view path);
[[nodiscard]] PathRule RuleForFile(std::string_view path);

// pg_wal and the empty directories below it that a restored cluster of this version (150018) must
// have, whatever the manifest says. Parents come first.
[[nodiscard]] std::vector<std::string> WalDirectoriesToMake(uint32_t server_version_num);

}  // namespace backup_ext
