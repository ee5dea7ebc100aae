// What the server loads: the settings, the shared memory, the launcher.
//
// Nothing here can stop the server from starting. Loaded without shared_preload_libraries only the
// functions are there, and each says what is missing.
#include "cluster_state.h"
#include "first_start_end.h"
#include "launcher.h"
#include "postgres_headers.h"
#include "server_lock.h"
#include "settings.h"
#include "shared_state.h"

extern "C" {

#if PG_VERSION_NUM >= 180000
PG_MODULE_MAGIC_EXT(.name = "backup_ext", .version = BACKUP_EXT_VERSION);
#else
PG_MODULE_MAGIC;
#endif

PGDLLEXPORT void _PG_init(void);

void _PG_init(void) {
  backup_ext::DefineSettings();
  if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade) return;
  backup_ext::LockPostmasterFile();
  backup_ext::RepeatFirstRecoveryAtStart();
  backup_ext::ForgetAtServerStart();
  backup_ext::RequestSharedState();
  backup_ext::RegisterLauncher();
}

}  // extern "C"
