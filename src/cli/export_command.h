// `backup_ext export`: a backup as a base backup that any PostgreSQL tool reads.
#pragma once

#include "program.h"

namespace backup_ext {

void AddExportCommand(Program* program);

}  // namespace backup_ext
