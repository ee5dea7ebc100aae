// What the server knows about itself and a backup must remember.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "backup/backup_run.h"
#include "format/record.h"

namespace backup_ext {

[[nodiscard]] ClusterFacts ReadClusterFacts();

// Every setting from a configuration file, the environment or the command line, and those that a
// recovering server checks; in their base units, as a configuration file takes them. Never one that
// may hold a secret.
[[nodiscard]] std::map<std::string, std::string> ReadConfiguredSettings();

// The files that configure this server and lie outside its data directory (Debian keeps them in
// /etc): postgresql.conf, pg_hba.conf, pg_ident.conf and what they include as far as a setting came
// from it. Certificates and keys are not among them.
[[nodiscard]] std::vector<std::string> OutsideConfigurationFiles();

// The server's fields of a record: version, identity, sizes, settings.
void FillServerFields(const ClusterFacts& facts, BackupRecord* record);

}  // namespace backup_ext
