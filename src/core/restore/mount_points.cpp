// What is mounted at or below a directory.
#include "restore/mount_points.h"

#include "base/file.h"
#include "restore/settings_file.h"

namespace backup_ext {
namespace {

constexpr size_t kMountInformationLimitBytes = 64UL * 1024 * 1024;
constexpr int kMountPointField = 4;  // counted from 0

bool IsOctal(char c) { return c >= '0' && c <= '7'; }

std::string WithoutCodes(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && IsOctal(text[i + 1]) && IsOctal(text[i + 2]) &&
        IsOctal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

Bytes MountInformation() {
  return ReadWholeFile("/proc/self/mountinfo", kMountInformationLimitBytes);
}

std::string_view Field(std::string_view line, int number) {
  for (; number > 0; --number) {
    const size_t blank = line.find(' ');
    if (blank == std::string_view::npos) return {};
    line.remove_prefix(blank + 1);
  }
  return line.substr(0, line.find(' '));
}

}  // namespace

std::optional<std::string> MountPointIn(std::string_view mount_information,
                                        const std::string& directory) {
  for (const std::string_view line : LinesOf(mount_information)) {
    std::string place = WithoutCodes(Field(line, kMountPointField));
    if (!place.empty() && IsInside(place, directory)) return place;
  }
  return std::nullopt;
}

std::optional<std::string> MountPointIn(const std::string& directory) {
  return MountPointIn(AsText(MountInformation()), directory);
}

std::string MountPointOf(const std::string& path) {
  const Bytes text = MountInformation();
  std::string found;
  for (const std::string_view line : LinesOf(AsText(text))) {
    std::string place = WithoutCodes(Field(line, kMountPointField));
    if (IsInside(path, place) && place.size() >= found.size()) found = std::move(place);
  }
  return found;
}

}  // namespace backup_ext
