// The configuration of an exported data directory, where the origin kept its own in another place
// (Debian: /etc): without it no server could be started from the export.
//
// What the data directory has stays as it is. Only files that it lacks are added, under their usual
// names: postgresql.conf from the recorded settings, pg_hba.conf and pg_ident.conf as they were.
#pragma once

#include <map>
#include <set>
#include <string>

#include "format/manifest.h"
#include "format/record.h"
#include "restore/file_writer.h"

namespace backup_ext {

class ExportedConfiguration {
 public:
  // `record` must outlive it.
  explicit ExportedConfiguration(const BackupRecord* record) : record_(record) {}

  // A file of the data directory.
  void See(const std::string& path);
  // A file from outside of it: read where it is needed.
  void Take(const ManifestEntry& entry, FileWriter* reader);
  // What is to be added: name to content. After the last See() and Take().
  [[nodiscard]] std::map<std::string, std::string> Missing() const;

 private:
  const BackupRecord* record_;
  std::set<std::string> seen_;
  std::map<std::string, std::string> outside_;
};

}  // namespace backup_ext
