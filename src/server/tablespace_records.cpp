// Reads WAL record by record, between pause points.
#include "tablespace_records.h"

#include <string>

#include <fmt/format.h>

#include "base/error.h"
#include "format/record.h"

#include "guard.h"
#include "postgres_headers.h"

extern "C" {
#include "access/rmgr.h"
#include "access/xlogreader.h"
#include "access/xlogutils.h"
#include "commands/tablespace.h"
}

namespace backup_ext {
namespace {

constexpr int kRecordsBetweenPauses = 4096;

// What one step saw. No destructor: it is filled inside of CallPostgres().
struct Step {
  bool found = false;
  bool at_end = false;
  char problem[256] = "";
};

void ReadSome(XLogReaderState* reader, XLogRecPtr end, Step* step) {
  for (int i = 0; i < kRecordsBetweenPauses && !step->found && !step->at_end; ++i) {
    char* problem = nullptr;
    if (reader->EndRecPtr >= end) {
      step->at_end = true;
    } else if (XLogReadRecord(reader, &problem) == nullptr) {
      snprintf(step->problem, sizeof(step->problem), "%s",
               problem != nullptr ? problem : "it ends early");
      step->at_end = true;
    } else if (XLogRecGetRmid(reader) == RM_TBLSPC_ID &&
               (XLogRecGetInfo(reader) & ~XLR_INFO_MASK) == XLOG_TBLSPC_CREATE) {
      const auto* const created =
          reinterpret_cast<const xl_tblspc_create_rec*>(XLogRecGetData(reader));
      step->found = created->ts_path[0] != '\0';  // one in place does no harm
    }
  }
}

}  // namespace

void CheckNoTablespaceCreatedSince(uint64_t start_lsn, const std::function<void()>& pause) {
  ReadLocalXLogPageNoWaitPrivate end_of_wal = {};
  XLogReaderState* reader = nullptr;
  XLogRecPtr end = InvalidXLogRecPtr;
  CallPostgres([&] {
    end = GetXLogReplayRecPtr(nullptr);
    XLogReaderRoutine routine = {};
    routine.page_read = &read_local_xlog_page_no_wait;
    routine.segment_open = &wal_segment_open;
    routine.segment_close = &wal_segment_close;
    reader = XLogReaderAllocate(wal_segment_size, nullptr, &routine, &end_of_wal);
    if (reader == nullptr) {
      ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    }
    XLogBeginRead(reader, start_lsn);
  });
  // On an error the reader's memory and file go with the process, which ends with its job.
  Step step;
  while (!step.at_end && !step.found) {
    CallPostgres([&] { ReadSome(reader, end, &step); });
    pause();
  }
  CallPostgres([&] { XLogReaderFree(reader); });
  if (step.problem[0] != '\0') {
    throw Error(ErrorCode::kIo, fmt::format("could not read WAL from {} to {}: {}",
                                            FormatLsn(start_lsn), FormatLsn(end), step.problem));
  }
  if (!step.found) return;
  throw Error(ErrorCode::kNotInPrerequisiteState,
              "a tablespace was created since the last restartpoint of the standby",
              "Replaying its creation in a copy on this machine would write into the location that "
              "the running server uses.",
              "Take the backup again after the next checkpoint of the primary.");
}

}  // namespace backup_ext
