// `backup_ext show`: everything that is known of one backup.
#pragma once

#include "program.h"

namespace backup_ext {

void AddShowCommand(Program* program);

}  // namespace backup_ext
