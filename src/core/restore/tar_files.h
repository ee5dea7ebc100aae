// The tar files of an export in a directory, and backup_manifest beside them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "restore/stage_tree.h"
#include "restore/tar_writer.h"

namespace backup_ext {

// One file that is being written.
class OutputFile {
 public:
  // Throws Error(kAlreadyExists) when there is one.
  explicit OutputFile(std::string path);
  void Write(ByteSpan bytes);
  // On the disk when it returns.
  void Close(const std::optional<FileOwner>& owner);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  FileDescriptor file_;
  uint64_t written_bytes_ = 0;
  uint64_t flushed_bytes_ = 0;
};

class TarFiles {
 public:
  // Makes `directory`, or takes it when it is empty. `owner`: whom all shall belong to.
  TarFiles(std::string directory, std::optional<FileOwner> owner);
  // What is not finished is removed again.
  ~TarFiles();
  TarFiles(const TarFiles&) = delete;
  TarFiles& operator=(const TarFiles&) = delete;

  // `<name>.tar`. Lives as long as this.
  [[nodiscard]] TarWriter* AddTar(const std::string& name);
  // backup_manifest, which has its name once all is on the disk. The same.
  [[nodiscard]] OutputFile* AddManifest();
  // Ends the archives and makes all durable.
  void Finish();

 private:
  [[nodiscard]] std::string ManifestPath() const { return JoinPath(directory_, "backup_manifest"); }
  void Remove() noexcept;

  std::string directory_;
  std::optional<FileOwner> owner_;
  bool made_ = false;
  bool renaming_ = false;  // the manifest may have its name
  bool finished_ = false;
  std::vector<std::unique_ptr<OutputFile>> files_;
  std::vector<std::unique_ptr<TarWriter>> tars_;
  std::unique_ptr<OutputFile> manifest_;
};

}  // namespace backup_ext
