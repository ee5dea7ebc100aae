// The end of every restore and export: pg_control, checked, after all the rest is on the disk.
#pragma once

#include <functional>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "format/record.h"
#include "restore/plan.h"
#include "restore/stage_tree.h"

namespace backup_ext {

// Throws Error(kDamaged) unless it is a sound control file of the record's cluster.
void CheckControlFile(ByteSpan content, const BackupRecord& record);

// Held back until all the rest is on the disk: without it no server starts on the directory.
void WriteControlFile(const StageTree& tree, ByteSpan content);

// Whom what is written shall belong to. Only root can write files for somebody else, and a server
// never runs as root.
[[nodiscard]] std::optional<FileOwner> OwnerToGive(const RestorePlan& plan);

// `error`, saying of damage which backup it is in.
[[nodiscard]] Error NamingTheBackup(const BackupRecord& record, const Error& error);

}  // namespace backup_ext
