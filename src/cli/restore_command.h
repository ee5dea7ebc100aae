// `backup_ext restore`: the same staged copy that backup_stage_restore() makes.
#pragma once

#include "program.h"

namespace backup_ext {

void AddRestoreCommand(Program* program);

}  // namespace backup_ext
