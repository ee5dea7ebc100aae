// `backup_ext verify`: reads a backup back, as backup_verify() does.
#pragma once

#include "program.h"

namespace backup_ext {

void AddVerifyCommand(Program* program);

}  // namespace backup_ext
