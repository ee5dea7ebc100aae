// The end of every restore and export: pg_control, checked, after all the rest is on the disk.
#include "restore/last_steps.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/file.h"
#include "cluster/control_file.h"

namespace backup_ext {

void CheckControlFile(ByteSpan content, const BackupRecord& record) {
  const auto control = ParseControlFile(content);
  if (!control) {
    throw Error(ErrorCode::kDamaged, "the checksum of file \"global/pg_control\" is wrong");
  }
  if (control->system_identifier != record.system_identifier) {
    throw Error(ErrorCode::kDamaged,
                fmt::format("file \"global/pg_control\" is that of system identifier {} instead of "
                            "{}",
                            control->system_identifier, record.system_identifier));
  }
}

void WriteControlFile(const StageTree& tree, ByteSpan content) {
  tree.WriteSmallFile("global/pg_control", AsText(content), 0600);
  const FileDescriptor directory = tree.OpenDirectory("global");
  const std::string path = tree.FullPath("global/pg_control");
  SyncFile(OpenFile(path, O_RDONLY | O_NOFOLLOW).get(), path);
  SyncFile(directory.get(), tree.FullPath("global"));
}

std::optional<FileOwner> OwnerToGive(const RestorePlan& plan) {
  if (geteuid() != 0 || plan.owner.uid == 0) return std::nullopt;
  return plan.owner;
}

Error NamingTheBackup(const BackupRecord& record, const Error& error) {
  if (error.code() != ErrorCode::kDamaged) return error;
  return Error(ErrorCode::kDamaged,
               fmt::format("backup {} is damaged: {}", record.backup_id, error.message()),
               error.detail(),
               error.hint().empty() ? "Restore another backup, and check the repository's storage."
                                    : error.hint());
}

}  // namespace backup_ext
