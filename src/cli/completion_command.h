// `backup_ext completion`: what a shell needs to complete the command line.
#pragma once

#include "program.h"

namespace backup_ext {

void AddCompletionCommand(Program* program);

}  // namespace backup_ext
