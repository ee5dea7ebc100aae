// Whether the newest good backup is as young as the schedule promises.
#pragma once

#include <string>

#include "store/catalog.h"

#include "settings.h"

namespace backup_ext {

// Empty while it is. `newest` is the start of the newest good backup, 0: there is none.
[[nodiscard]] std::string DescribeBrokenPromise(const Settings& settings, Microseconds newest);

// The start of the newest good backup of a catalog, 0: none.
[[nodiscard]] Microseconds NewestGoodStart(const Catalog& catalog);

// The launcher's, at each look: reads the catalog now and then, and writes a WARNING into the
// server log when the promise is broken, once an hour. `*next_look` is by MonotonicNow(), 0: now.
void WarnOfBrokenPromise(const Settings& settings, Microseconds* next_look);

}  // namespace backup_ext
