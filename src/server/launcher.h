// The launcher: starts the automatic backup inside the window.
#pragma once

namespace backup_ext {

// From _PG_init in the postmaster.
void RegisterLauncher();

}  // namespace backup_ext
