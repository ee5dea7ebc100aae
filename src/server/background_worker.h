// What all background workers of this extension have in common.
#pragma once

#include <cstdio>
#include <cstring>

#include "postgres_headers.h"

namespace backup_ext {

// One that runs `function` of this library, once the server is consistent; it is not started again
// when it ends. `name`: in ps, after "backup_ext".
inline BackgroundWorker DescribeWorker(const char* name, const char* type, const char* function) {
  BackgroundWorker worker;
  std::memset(&worker, 0, sizeof(worker));
  snprintf(worker.bgw_name, BGW_MAXLEN, "backup_ext %s", name);
  snprintf(worker.bgw_type, BGW_MAXLEN, "%s", type);
  worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
  worker.bgw_start_time = BgWorkerStart_ConsistentState;
  worker.bgw_restart_time = BGW_NEVER_RESTART;
  snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "backup_ext");
  snprintf(worker.bgw_function_name, BGW_MAXLEN, "%s", function);
  return worker;
}

}  // namespace backup_ext
