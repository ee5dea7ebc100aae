// Damage that was found in one backup is told to those that share its packs.
#pragma once

#include <string_view>

#include "store/catalog.h"
#include "store/repository.h"

namespace backup_ext {

// Notes at every backup of `catalog` that lists a pack of this one that it is suspect: no parent
// for the next backup until a verify finds it sound, and also when the damaged one is gone. One
// that is noted already is passed over. Throws what the store throws; backups that go meanwhile are
// no error.
void MarkSuspects(const Repository& repository, const Catalog& catalog,
                  std::string_view damaged_backup_id);

}  // namespace backup_ext
