// `backup_ext list`: the catalog, for a person or a program.
#pragma once

#include "program.h"

namespace backup_ext {

void AddListCommand(Program* program);

}  // namespace backup_ext
