// The media of a backup: directories and files, then links, then the attributes of directories,
// which everything that is made in them would change.
#include "restore/write_media.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/open_beneath.h"
#include "restore/file_batches.h"
#include "restore/file_writer.h"
#include "restore/media_attributes.h"
#include "restore/plan.h"
#include "store/manifest_source.h"

namespace backup_ext {
namespace {

constexpr std::string_view kPrefix = "media/";

// The path below the directory of the media: `1/photos/a.jpg`.
std::string PathBelow(const ManifestEntry& entry, const BackupRecord& record,
                      const std::string& path) {
  if (path.starts_with(kPrefix)) {
    std::string below = path.substr(kPrefix.size());
    size_t number = 0;
    const char* const end = below.data() + std::min(below.find('/'), below.size());
    const auto [stopped, problem] = std::from_chars(below.data(), end, number);
    if (problem == std::errc() && stopped == end && below[0] != '0' && number >= 1 &&
        number <= record.media.directories.size()) {
      return below;
    }
  }
  throw Error(ErrorCode::kDamaged,
              fmt::format("\"{}\" is not the path of a media file", entry.path));
}

uint64_t RoomOf(const ManifestEntry& entry) {
  uint64_t bytes = entry.size_bytes;
  // All of its holes share one frame.
  if (entry.file_kind == FileKind::kSparse) {
    bytes = std::min<uint64_t>(bytes, entry.map.frames.size() * kFramePlainLimitBytes);
  }
  return (bytes + kDiskBlockBytes - 1) / kDiskBlockBytes * kDiskBlockBytes;
}

bool IsZero(ByteSpan bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

// Blocks of zeros become holes.
void WriteSparse(int fd, ByteSpan bytes, uint64_t offset, const std::string& path) {
  size_t begin = 0;
  while (begin < bytes.size()) {
    const auto block = [&](size_t at) {
      return bytes.subspan(at, std::min<size_t>(kDiskBlockBytes, bytes.size() - at));
    };
    size_t end = begin;
    while (end < bytes.size() && !IsZero(block(end))) end += block(end).size();
    if (end > begin) WriteAllAt(fd, bytes.subspan(begin, end - begin), offset + begin, path);
    begin = end;
    while (begin < bytes.size() && IsZero(block(begin))) begin += block(begin).size();
  }
}

class MediaWriting {
 public:
  MediaWriting(const WriteMediaRequest& request, Progress* progress,
               const std::function<void()>& pause_point)
      : request_(request),
        progress_(progress),
        batches_(
            request.threads,
            [this](std::function<bool()> should_stop) {
              return FileWriter::Surroundings{request_.repository,
                                              request_.record,
                                              &packs_,
                                              nullptr,
                                              nullptr,
                                              progress_,
                                              std::move(should_stop),
                                              OpenPacksOfOne(request_.threads + 1)};
            },
            [this](const ManifestEntry& entry, FileWriter* writer) { WriteFile(entry, writer); },
            pause_point) {}

  MediaResult Run() {
    ForEach([this](ManifestEntry entry) { WriteEntry(std::move(entry)); });
    batches_.Finish();
    ForEach([this](const ManifestEntry& entry) { MakeLink(entry); });
    ForEach([this](ManifestEntry entry) { FinishDirectories(std::move(entry)); });
    FinishDirectories(std::nullopt);
    return {files_, attributes_.owners_lost(), attributes_.attributes_lost()};
  }

 private:
  void ForEach(const std::function<void(ManifestEntry)>& take) {
    const auto reader = OpenManifest(*request_.repository, *request_.record, ManifestKind::kMedia);
    while (auto entry = reader->Next()) {
      packs_.Extend(reader->packs());
      take(std::move(*entry));
      batches_.MaybePause();
    }
  }

  void WriteEntry(ManifestEntry entry) {
    const std::string below = PathBelow(entry, *request_.record, entry.path);
    if (entry.kind == EntryKind::kDirectory) {
      std::string name;
      const FileDescriptor parent = OpenParent(below, &name);
      if (mkdirat(parent.get(), name.c_str(), 0700) != 0) ThrowNotMade("directory", entry, errno);
      return;
    }
    if (entry.kind != EntryKind::kFile) return;
    ++files_;
    batches_.Add(std::move(entry));
  }

  void WriteFile(const ManifestEntry& entry, FileWriter* writer) {
    const std::string below = PathBelow(entry, *request_.record, entry.path);
    const std::string path = FullPath(below);
    std::string name;
    const FileDescriptor parent = OpenParent(below, &name);
    const FileDescriptor file(openat(parent.get(), name.c_str(),
                                     O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file.valid()) ThrowNotMade("file", entry, errno);
    uint64_t size = 0;
    writer->ForEachWrittenPiece(entry, [&](ByteSpan bytes) {
      if (entry.file_kind == FileKind::kSparse) {
        WriteSparse(file.get(), bytes, size, path);
      } else {
        WriteAllAt(file.get(), bytes, size, path);
      }
      size += bytes.size();
    });
    if (batches_.stop_requested()) return;
    if (entry.file_kind == FileKind::kSparse &&
        ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
      throw SystemError(fmt::format("set the size of file \"{}\"", path), errno);
    }
    attributes_.Apply(file.get(), entry, path);
    progress_->files_done += 1;
  }

  void MakeLink(const ManifestEntry& entry) {
    if (entry.kind != EntryKind::kSymbolicLink && entry.kind != EntryKind::kHardLink) return;
    const std::string below = PathBelow(entry, *request_.record, entry.path);
    std::string name;
    const FileDescriptor parent = OpenParent(below, &name);
    if (entry.kind == EntryKind::kSymbolicLink) {
      if (symlinkat(entry.link_target.c_str(), parent.get(), name.c_str()) != 0) {
        ThrowNotMade("symbolic link", entry, errno);
      }
      attributes_.ApplyToLink(parent.get(), name, entry, FullPath(below));
      return;
    }
    std::string first_name;
    const FileDescriptor first_parent =
        OpenParent(PathBelow(entry, *request_.record, entry.link_target), &first_name);
    if (linkat(first_parent.get(), first_name.c_str(), parent.get(), name.c_str(), 0) != 0) {
      ThrowNotMade("hard link", entry, errno);
    }
  }

  // A directory is finished once the walk has left it: the deepest first.
  void FinishDirectories(std::optional<ManifestEntry> next) {
    for (auto directory = pending_.rbegin(); directory != pending_.rend();) {
      const std::string inside = directory->first + "/";
      if (next && (next->path < inside || next->path.starts_with(inside))) {
        ++directory;
        continue;
      }
      FinishDirectory(directory->second);
      directory = std::make_reverse_iterator(pending_.erase(std::next(directory).base()));
    }
    if (!next || next->kind != EntryKind::kDirectory) return;
    std::string path = next->path;
    pending_.emplace(std::move(path), *std::move(next));
  }

  void FinishDirectory(const ManifestEntry& entry) {
    const std::string below = PathBelow(entry, *request_.record, entry.path);
    const FileDescriptor directory = OpenBeneath(request_.directory, below, O_RDONLY | O_DIRECTORY);
    if (!directory.valid()) {
      throw SystemError(fmt::format("open directory \"{}\"", FullPath(below)), errno);
    }
    attributes_.Apply(directory.get(), entry, FullPath(below));
  }

  FileDescriptor OpenParent(const std::string& below, std::string* name) const {
    const std::string parent = ParentDirectory(below);
    *name = BaseName(below);
    FileDescriptor directory = OpenBeneath(request_.directory, parent, O_RDONLY | O_DIRECTORY);
    if (directory.valid()) return directory;
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) {
      throw Error(ErrorCode::kDamaged,
                  fmt::format("\"{}{}\" lies in no directory of the backup", kPrefix, below));
    }
    throw SystemError(fmt::format("open directory of \"{}\"", FullPath(below)), errno);
  }

  [[nodiscard]] std::string FullPath(const std::string& below) const {
    return JoinPath(request_.path, below);
  }

  [[noreturn]] static void ThrowNotMade(const char* what, const ManifestEntry& entry,
                                        int error_number) {
    if (error_number == EEXIST) {
      throw Error(ErrorCode::kDamaged, fmt::format("\"{}\" is listed twice", entry.path));
    }
    throw SystemError(fmt::format("create {} \"{}\"", what, entry.path), error_number);
  }

  const WriteMediaRequest& request_;
  Progress* progress_;
  KnownPacks packs_;
  MediaAttributes attributes_;
  std::map<std::string, ManifestEntry> pending_;  // directories on the way, by path
  uint64_t files_ = 0;
  FileBatches batches_;  // last: its threads use the rest
};

}  // namespace

MediaPlan MakeMediaPlan(const Repository& repository, const BackupRecord& record,
                        const std::function<void()>& pause_point) {
  CheckManifestObject(repository, record, pause_point, ManifestKind::kMedia);
  MediaPlan plan;
  Microseconds next_pause = MonotonicNow();
  const auto reader = OpenManifest(repository, record, ManifestKind::kMedia);
  while (const auto entry = reader->Next()) {
    plan.room_bytes += kDiskBlockBytes;  // its inode, or its own blocks
    if (entry->kind == EntryKind::kFile) {
      plan.files += 1;
      plan.bytes += entry->size_bytes;
      plan.room_bytes += RoomOf(*entry);
    }
    if (MonotonicNow() < next_pause) continue;
    pause_point();
    next_pause = MonotonicNow() + kPauseEvery;
  }
  return plan;
}

std::string DescribeLosses(const MediaResult& result) {
  std::string text;
  if (result.owners_lost > 0) {
    text = fmt::format(
        "{} media files and directories belong to who restored them: only root can give them to "
        "their owners",
        result.owners_lost);
  }
  if (result.attributes_lost > 0) {
    text += fmt::format("{}{} extended attributes, setuid or setgid bits of media could not be set",
                        text.empty() ? "" : "; ", result.attributes_lost);
  }
  return text;
}

MediaResult WriteMedia(const WriteMediaRequest& request, Progress* progress,
                       const std::function<void()>& pause_point) {
  return MediaWriting(request, progress, pause_point).Run();
}

void SyncMedia(int directory, const std::string& path) {
  // One call for a million files; since Linux 5.8 it tells of failures, as fsync(2) does.
  if (syncfs(directory) != 0) {
    throw SystemError(fmt::format("write the file system of \"{}\" to the disk", path), errno);
  }
  SyncDirectory(ParentDirectory(path));
}

}  // namespace backup_ext
