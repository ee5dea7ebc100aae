// `backup_ext expire`: removes what is too old, by the rules of backup_expire().
#pragma once

#include "program.h"

namespace backup_ext {

void AddExpireCommand(Program* program);

}  // namespace backup_ext
