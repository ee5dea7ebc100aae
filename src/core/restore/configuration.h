// Configuration files from outside the origin's data directory (Debian keeps them in /etc), and a
// postgresql.conf for a data directory that has none.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/record.h"
#include "restore/postgres_manifest.h"
#include "restore/stage_tree.h"
#include "restore/write_files.h"

namespace backup_ext {

inline constexpr std::string_view kConfigurationFolder = "backup_ext_conf";

// `<folder>/3-postgresql.conf`: never over another file, and never outside the folder, whatever the
// origin's path is.
[[nodiscard]] std::string OutsideFilePath(std::string_view folder, size_t number,
                                          std::string_view origin_path);

// What a stage reads instead of the origin's own files, kept in `backup_ext_stage` for whoever
// makes the stage the server. Paths are relative to the data directory; empty: there is none.
struct ConfigurationNote {
  bool generated = false;  // postgresql.conf was made from the recorded settings
  std::string original;    // the postgresql.conf of the origin's data directory that it replaced
  std::string hba_file;    // the origin's pg_hba.conf, where that lay elsewhere
  std::string ident_file;  // the origin's pg_ident.conf, likewise
};
[[nodiscard]] std::string EncodeConfigurationNote(const ConfigurationNote& note);
// Nothing when there is none that can be read: a stage of an older version.
[[nodiscard]] std::optional<ConfigurationNote> ReadConfigurationNote(const std::string& directory);

// Writes postgresql.conf: the origin's, or one made from the recorded settings where the origin's
// lay elsewhere or would lead the copy elsewhere (data_directory, includes of absolute paths); then
// the index of `captured.outside` and the note. `captured` is given the name under which a replaced
// file is kept.
void WriteConfiguration(const StageTree& tree, const BackupRecord& record,
                        const std::string& folder, CapturedFiles* captured,
                        PostgresManifest* manifest);

}  // namespace backup_ext
