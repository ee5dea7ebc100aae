// The tar files of an export in a directory, and backup_manifest beside them.
#include "restore/tar_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/error.h"

namespace backup_ext {
OutputFile::OutputFile(std::string path)
    : path_(std::move(path)), file_(OpenFile(path_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)) {}

void OutputFile::Write(ByteSpan bytes) {
  WriteAll(file_.get(), bytes, path_);
  written_bytes_ += bytes.size();
  if (written_bytes_ - flushed_bytes_ < kWritebackBytes) return;
  // Only a hint, so that the fsync of the end finds little left to do.
  (void)sync_file_range(file_.get(), static_cast<off_t>(flushed_bytes_),
                        static_cast<off_t>(written_bytes_ - flushed_bytes_), SYNC_FILE_RANGE_WRITE);
  flushed_bytes_ = written_bytes_;
}

void OutputFile::Close(const std::optional<FileOwner>& owner) {
  if (owner && fchown(file_.get(), owner->uid, owner->gid) != 0) {
    throw SystemError(fmt::format("change owner of \"{}\"", path_), errno);
  }
  SyncFile(file_.get(), path_);
  file_.Close();
}

TarFiles::TarFiles(std::string directory, std::optional<FileOwner> owner)
    : directory_(std::move(directory)), owner_(owner), made_(MakeDirectory(directory_, 0700)) {}

TarFiles::~TarFiles() {
  if (!finished_) Remove();
}

TarWriter* TarFiles::AddTar(const std::string& name) {
  files_.push_back(std::make_unique<OutputFile>(fmt::format("{}/{}.tar", directory_, name)));
  OutputFile* const file = files_.back().get();
  tars_.push_back(std::make_unique<TarWriter>([file](ByteSpan bytes) { file->Write(bytes); }));
  return tars_.back().get();
}

OutputFile* TarFiles::AddManifest() {
  manifest_ = std::make_unique<OutputFile>(JoinPath(directory_, "backup_manifest.tmp"));
  return manifest_.get();
}

void TarFiles::Finish() {
  for (const auto& tar : tars_) tar->Finish();
  for (const auto& file : files_) file->Close(owner_);
  manifest_->Close(owner_);
  if (owner_ && made_ && lchown(directory_.c_str(), owner_->uid, owner_->gid) != 0) {
    throw SystemError(fmt::format("change owner of \"{}\"", directory_), errno);
  }
  // The manifest says that the rest is there.
  SyncDirectory(directory_);
  renaming_ = true;
  RenameDurably(manifest_->path(), ManifestPath());
  finished_ = true;
}

void TarFiles::Remove() noexcept {
  // Only what is ours: another export may have begun in the same directory.
  try {
    for (const auto& file : files_) RemoveFile(file->path());
    if (manifest_) RemoveFile(manifest_->path());
    if (renaming_) RemoveFile(ManifestPath());
    if (made_) (void)rmdir(directory_.c_str());
  } catch (...) {  // the error that brought us here is the one to report
  }
}

}  // namespace backup_ext
