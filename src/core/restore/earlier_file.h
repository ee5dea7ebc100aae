// A file of an earlier stage that shall become one of the backup: only what is wrong is written.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/file.h"
#include "format/frame.h"

namespace backup_ext {

// Used by one thread. A file that is right already is never written to: it keeps its mtime.
class EarlierFile {
 public:
  EarlierFile(FileDescriptor file, std::string path);

  [[nodiscard]] int fd() const { return file_.get(); }
  [[nodiscard]] uint64_t size_bytes() const { return size_bytes_; }
  // What is there, shorter at the end of the file; valid until the next call of any function.
  [[nodiscard]] ByteSpan Read(uint64_t offset, size_t count);
  // The same when it is what the frame holds, by the digest; nothing (empty) otherwise.
  [[nodiscard]] ByteSpan ReadIfEqual(uint64_t offset, const FrameRef& frame);
  // Makes `bytes`, which may come from Read(), the content there.
  void Put(uint64_t offset, ByteSpan bytes);
  // The size of the file.
  void Finish(uint64_t size_bytes);
  [[nodiscard]] uint64_t written_bytes() const { return written_bytes_; }

 private:
  void Write(uint64_t offset, ByteSpan bytes);

  FileDescriptor file_;
  std::string path_;
  uint64_t size_bytes_ = 0;
  Bytes buffer_;  // what is there from read_offset_ on
  uint64_t read_offset_ = 0;
  size_t read_bytes_ = 0;
  uint64_t written_bytes_ = 0;
  uint64_t flushed_bytes_ = 0;
};

}  // namespace backup_ext
