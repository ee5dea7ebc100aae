// What the check hooks of the settings share.
#pragma once

#include "boundary.h"

namespace backup_ext {

// True while a person sets a value (ALTER SYSTEM): then it is compared with the disk, too.
[[nodiscard]] bool SetByCommand();

// Tells why a value is refused, from a check hook. Always false.
bool RefuseSetting(const PlainError& error);

}  // namespace backup_ext
