// Where objects live: named blobs, written once, put whole or not at all.
//
// The promises, checked for every implementation by test/unit/store/object_store_conformance.h:
// - an object is visible under its name only when it is whole and durable;
// - a name that exists is never written again: Put and Commit throw Error(kAlreadyExists);
// - List is for finding work to do; nothing correct may depend on it being complete;
// - names are those of IsObjectName() (names.h); anything else throws Error(kInvalidArgument).
// Any thread may call; two writers need two ObjectWriters. Errors: kNoRepository when the
// repository itself is gone, kNoSpace, kPermissionDenied, kIo; the message names the object.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace backup_ext {

// One object being written. Destroyed without Commit it leaves nothing (a crash leaves a temporary
// file, which SweepTemporaries removes).
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;
  virtual void Append(ByteSpan bytes) = 0;
  // Durable and visible when it returns. After an error the object is thrown away, never retried.
  virtual void Commit() = 0;
  [[nodiscard]] virtual uint64_t size_bytes() const = 0;
};

// One object being read, by place.
class ObjectReader {
 public:
  virtual ~ObjectReader() = default;
  // Up to `count` bytes at `offset`, fewer only at the end. Any thread.
  [[nodiscard]] virtual Bytes ReadRange(uint64_t offset_bytes, size_t count) = 0;
  // The same into `*buffer`, which is resized: no allocation once it is large enough.
  virtual void ReadRangeInto(uint64_t offset_bytes, size_t count, Bytes* buffer) = 0;
  [[nodiscard]] virtual uint64_t size_bytes() const = 0;
};

struct ObjectInfo {
  std::string name;
  uint64_t size_bytes = 0;
  int64_t modified_at_us = 0;
};

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  [[nodiscard]] virtual std::unique_ptr<ObjectWriter> Create(const std::string& name) = 0;
  // Create, Append, Commit.
  virtual void Put(const std::string& name, ByteSpan bytes) = 0;
  // Nothing when there is no such object.
  [[nodiscard]] virtual std::unique_ptr<ObjectReader> Open(const std::string& name) = 0;
  // The whole object; nothing when there is none. Throws Error(kDamaged) above `limit_bytes`.
  [[nodiscard]] virtual std::optional<Bytes> Get(const std::string& name, uint64_t limit_bytes) = 0;
  // Every object whose name begins with `prefix` (a whole number of components: it is empty or
  // ends with '/'), sorted by name.
  [[nodiscard]] virtual std::vector<ObjectInfo> List(const std::string& prefix) = 0;
  // The next components after `prefix`, sorted: `List` without walking what lies below.
  [[nodiscard]] virtual std::vector<std::string> ListNames(const std::string& prefix) = 0;
  // False when there was none. Durable when it returns.
  virtual bool Delete(const std::string& name) = 0;
  // Removes what interrupted writers left. Only while no writer can be at work.
  virtual void SweepTemporaries() = 0;
  // Free bytes for writing; nothing when the store cannot tell.
  [[nodiscard]] virtual std::optional<uint64_t> FreeBytes() = 0;
  // For messages: the directory or the URL, never a secret.
  [[nodiscard]] virtual std::string Describe() const = 0;
};

}  // namespace backup_ext
