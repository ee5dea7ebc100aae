// What a job says, from its worker to its caller, in shared memory. Plain data only: errors jump
// through these frames.
#include "job_notices.h"

#include <cstring>

#include "plain_text.h"

namespace backup_ext {

void PostNotice(JobSlot* slot, const char* text) {
  LWLockAcquire(GetSharedState()->lock, LW_EXCLUSIVE);
  CopyText(text, slot->notices.texts[slot->notices.next++ % kNoticeRoom]);
  LWLockRelease(GetSharedState()->lock);
}

void ShowNotices(const JobSlot* slot, volatile uint32* shown) {
  NoticeQueue notices;
  LWLockAcquire(GetSharedState()->lock, LW_SHARED);
  std::memcpy(&notices, &slot->notices, sizeof(notices));
  LWLockRelease(GetSharedState()->lock);
  const uint32 unseen = notices.next - *shown;
  if (unseen > kNoticeRoom) {
    *shown = notices.next - kNoticeRoom;
    ereport(NOTICE, (errmsg_plural("%u notice of the job is in the server log only",
                                   "%u notices of the job are in the server log only",
                                   unseen - kNoticeRoom, unseen - kNoticeRoom)));
  }
  while (*shown != notices.next) {
    const uint32 number = *shown;
    *shown = number + 1;
    ereport(NOTICE, (errmsg_internal("%s", notices.texts[number % kNoticeRoom])));
  }
}

}  // namespace backup_ext
