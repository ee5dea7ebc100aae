// Whether another server that is no partner of this one's pair writes to its repository.
#pragma once

#include "store/catalog.h"
#include "store/repository.h"

namespace backup_ext {

// Throws Error(kWrongCluster), with both servers named, when there are backups of one that was
// started from a copy of this cluster's data directory, or whose copy this one is.
void CheckNoOtherServer(const Repository& repository, const Catalog& catalog);

}  // namespace backup_ext
