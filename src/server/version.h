// What differs between PostgreSQL 15 and 19, in one place.
#pragma once

#include "postgres_headers.h"

namespace backup_ext {

inline void ServeMainLoopInterrupts() {
#if PG_VERSION_NUM >= 180000
  ProcessMainLoopInterrupts();
#else
  HandleMainLoopInterrupts();
#endif
}

inline void CheckReplicationSlots() {
#if PG_VERSION_NUM >= 190000
  CheckSlotRequirements(false);
#else
  CheckSlotRequirements();
#endif
}

inline void CreateTemporarySlot(const char* name) {
#if PG_VERSION_NUM >= 190000
  ReplicationSlotCreate(name, false, RS_TEMPORARY, false, false, false, false);
#elif PG_VERSION_NUM >= 170000
  ReplicationSlotCreate(name, false, RS_TEMPORARY, false, false, false);
#else
  ReplicationSlotCreate(name, false, RS_TEMPORARY, false);
#endif
}

inline void DropTemporarySlots() {
#if PG_VERSION_NUM >= 170000
  ReplicationSlotCleanup(false);
#else
  ReplicationSlotCleanup();
#endif
}

inline struct config_generic** AllSettings(int* count) {
#if PG_VERSION_NUM >= 160000
  return get_guc_variables(count);
#else
  *count = GetNumConfigOptions();
  return get_guc_variables();
#endif
}

#if PG_VERSION_NUM >= 170000
inline void WakeSummarizer() {
#if PG_VERSION_NUM >= 180000
  WakeupWalSummarizer();
#else
  SetWalSummarizerLatch();
#endif
}
#endif

inline void ReportChecksumFailures(Oid database, int count) {
#if PG_VERSION_NUM >= 180000
  pgstat_prepare_report_checksum_failure(database);
#endif
  pgstat_report_checksum_failures_in_db(database, count);
}

}  // namespace backup_ext
