// `backup_ext activate` and `backup_ext undo`: a stage becomes the server, and the way back.
#pragma once

#include "program.h"

namespace backup_ext {

// Neither needs a repository.
void AddActivateCommand(Program* program);
void AddUndoCommand(Program* program);

}  // namespace backup_ext
