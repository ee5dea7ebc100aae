// What the tests of this room share: a small backup that is sound in everything that verify looks
// at, and how it and a restore judge what became of it.
#pragma once

#include <fcntl.h>

#include <optional>
#include <string>
#include <vector>

#include "base/lsn.h"
#include "cluster/wal_maker.h"
#include "restore/restore_test_support.h"
#include "verify/verify_run.h"

namespace backup_ext {

inline const std::string kPackObject = std::string("packs/") + kTestBackupId + "/0-0.pack";
inline const std::string kManifestObject = std::string("backups/") + kTestBackupId + "/manifest";
inline const std::string kRecordObject = std::string("backups/") + kTestBackupId + "/record.json";
inline const std::string kTestSegment = "pg_wal/000000010000000000000020";

struct SoundBackupSize {
  int relation_pages = 70;  // more than two frames
  int wal_records = 40;
  bool has_whole_segment = true;  // else it ends where the backup does, as a standby's
};

// Every frame of the pack is needed by a file.
inline void AddSoundContent(BackupBuilder* backup, const SoundBackupSize& size = {}) {
  for (const char* path : {"base", "base/1", "global", "pg_tblspc", "pg_wal"}) {
    backup->AddDirectory(path);
  }
  backup->AddFile("PG_VERSION", "15\n");
  backup->AddFile("postgresql.conf", "max_connections = 42\n");
  backup->AddFile("postgresql.auto.conf", "work_mem = '8MB'\n");
  backup->AddFile("global/pg_filenode.map", std::string(524, 'm'));
  backup->AddPages("base/1/1259", TestPage(100, 0, 'a') + TestPage(200, 1, 'b'));
  std::string pages;
  for (int i = 0; i < size.relation_pages; i++) {
    pages += TestPage(100 + static_cast<uint64_t>(i), static_cast<uint32_t>(i), 'r');
  }
  backup->AddPages("base/1/2600", pages);

  WalMaker wal(0x20, kTestWalSegmentBytes, kTestSystemIdentifier);
  for (int i = 0; i < 3; i++) wal.Append(200);
  BackupRecord& record = backup->record;
  record.start_lsn = wal.lsn();
  for (int i = 0; i < size.wal_records; i++) wal.Append(700);
  record.stop_lsn = wal.lsn();
  record.wal_ranges = {{1, record.start_lsn, record.stop_lsn}};
  Bytes segment = wal.Segment(0x20);
  if (!size.has_whole_segment) segment.resize(record.stop_lsn % kTestWalSegmentBytes);
  backup->AddLateFile(kTestSegment, AsText(segment), FileKind::kWal);
  backup->AddLateFile("backup_label", "START WAL LOCATION: " + FormatLsn(record.start_lsn) +
                                          " (file 000000010000000000000020)\n");
  backup->AddLateFile("global/pg_control", TestControlFile(), FileKind::kControlFile);
}

inline VerifyResult Verify(const std::string& location, const std::string& id = kTestBackupId) {
  Progress progress;
  return VerifyBackup(Repository::Open(location), id, 2, &progress, [] {});
}

// Restores into `directory`, which it removes again. The error of it; nothing when it went well.
inline std::optional<Error> RestoreError(const std::string& location,
                                         const std::string& directory) {
  StageOptions options;
  options.stage_id = NewStageId(Now());
  options.directory = directory;
  options.threads = 1;
  options.forbidden = {location};
  const auto error = ErrorOf([&] {
    const Repository repository = Repository::Open(location);
    Progress progress;
    static_cast<void>(RestoreToStage(repository, FindBackup(repository, kTestBackupId), options,
                                     &progress, [] {}));
  });
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  return error;
}

// Overwrites an object as no store would.
inline void WriteObject(const std::string& path, ByteSpan content) {
  const FileDescriptor file = OpenFile(path, O_WRONLY | O_TRUNC);
  WriteAll(file.get(), content, path);
}

}  // namespace backup_ext
