// What the server's WAL summaries (PostgreSQL 17 and later, summarize_wal) say was changed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cluster/changed_blocks.h"
#include "policy/parent_choice.h"

namespace backup_ext {

// Every block that WAL from `from_lsn` to `to_lsn` names, along `history` (oldest timeline first).
// Waits up to a minute until the server has summarized up to `to_lsn`; can be cancelled, so no
// thread may live yet. Nothing when the summaries do not cover all of it without a gap: `*reason`
// says why.
[[nodiscard]] std::optional<ChangedBlocks> ReadWalSummaries(
    const std::vector<TimelineSpan>& history, uint64_t from_lsn, uint64_t to_lsn,
    const std::function<void()>& pause_point, std::string* reason);

}  // namespace backup_ext
