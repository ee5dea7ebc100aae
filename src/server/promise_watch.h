// Whether the newest good backup is as young as the schedule promises.
#pragma once

#include <string>

#include "base/clock.h"

#include "settings.h"

namespace backup_ext {

// Empty while it is. `newest` is the start of the newest good backup, 0: there is none.
[[nodiscard]] std::string DescribeBrokenPromise(const Settings& settings, Microseconds newest);

// The launcher's, when it has looked: a WARNING in the server log when the promise is broken, once
// an hour.
void WarnOfBrokenPromise(const Settings& settings, Microseconds newest);

}  // namespace backup_ext
