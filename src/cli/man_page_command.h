// `backup_ext man-page`: the manual page, made from what --help says. Hidden: for `make install`.
#pragma once

#include "program.h"

namespace backup_ext {

void AddManPageCommand(Program* program);

}  // namespace backup_ext
