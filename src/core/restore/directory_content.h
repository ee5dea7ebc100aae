// What lies in a directory, removed.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace backup_ext {

// Removes everything in `directory` but the entry named `kept`. Follows no link.
void RemoveContent(const std::string& directory, std::string_view kept);

// True for a directory that holds directories alone, however deep, and at most a marker of ours
// that was never finished: a restore that died this early leaves no more.
[[nodiscard]] bool HoldsOnlyDirectories(const std::string& directory);

// Is it a directory in which there is nothing but a folder `backup_ext_stage` without a marker? So
// a restore begins in a new one, and so a discard may leave it.
[[nodiscard]] bool HoldsOnlyStageFolder(const std::string& directory);
// Gives the user's rights in the directory and in all below it to us, as far as the operating
// system lets us: media have owners and modes of their own. Follows no link; does not throw for
// what it may not do.
void MakeRemovable(const std::string& directory, const std::function<void()>& pause_point);

// Removes a top directory of a stage with all in it. The marker goes last: what is left after a
// crash is still known as the stage's. The directory itself may be one that only root can make: it
// goes where that is allowed.
void EmptyStageTop(const std::string& directory, const std::function<void()>& pause_point);

}  // namespace backup_ext
