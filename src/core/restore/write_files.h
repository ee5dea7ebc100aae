// The step of a restore that takes the time: every file of the manifest, on a pool of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/progress.h"
#include "format/record.h"
#include "restore/exported_configuration.h"
#include "restore/plan.h"
#include "restore/postgres_manifest.h"
#include "restore/stage_tree.h"
#include "store/repository.h"

namespace backup_ext {

// A configuration file that lay outside the origin's data directory, and where it is now.
struct OutsideFile {
  std::string origin_path;
  std::string path;  // relative to the data directory
};

// What was read instead of written.
struct CapturedFiles {
  Bytes control_file;
  Bytes auto_conf;
  bool has_postgresql_conf = false;
  Bytes postgresql_conf;
  uint32_t postgresql_conf_mode = 0600;
  std::vector<OutsideFile> outside;
  uint64_t kept_bytes = 0;  // of an earlier stage, what was right
};

struct WriteFilesRequest {
  const Repository* repository;
  const BackupRecord* record;
  const RestorePlan* plan;
  const StageTree* tree;
  PostgresManifest* manifest;
  std::string configuration_folder;
  int threads;
  // Of an export: is given the files from outside the data directory, and none is written.
  ExportedConfiguration* exported_configuration = nullptr;
};

// Directories first, each before what lies in it; then files, in any order.
[[nodiscard]] CapturedFiles WriteFiles(const WriteFilesRequest& request, Progress* progress,
                                       const std::function<void()>& pause_point);

}  // namespace backup_ext
