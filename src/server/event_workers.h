// Who is told of the end of a job: backup_ext.event_command, and sessions that LISTEN to
// backup_ext.
//
// Each is done by a short-lived worker process without threads that the launcher starts: neither
// can hold up a job, the launcher or the other.
#pragma once

namespace backup_ext {

// Starts what is missing. The launcher's, at each look. PostgreSQL's side of the border.
void StartEventWorkers(const char* event_command);

}  // namespace backup_ext
