// A store before another one, in which the process ends at a chosen change, as if killed there:
// no destructor runs, nothing is removed.
#pragma once

#include <unistd.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/object_store.h"

namespace backup_ext {

inline constexpr int kStoppedStatus = 77;

// Ends the process right before change number `stop`, counted from 1. Changes are: a writer begins,
// commits, is thrown away; a removal; a sweep. One at a time. What is appended shows at the commit.
class ChangeCounter {
 public:
  explicit ChangeCounter(int stop) : stop_(stop) {}

  template <typename Change>
  auto Do(const Change& change) {
    const std::lock_guard guard(mutex_);
    if (++count_ == stop_) _exit(kStoppedStatus);
    return change();
  }

 private:
  const int stop_;
  std::mutex mutex_;
  int count_ = 0;  // guarded by mutex_
};

class StoppingWriter : public ObjectWriter {
 public:
  StoppingWriter(std::unique_ptr<ObjectWriter> writer, std::shared_ptr<ChangeCounter> changes)
      : writer_(std::move(writer)), changes_(std::move(changes)) {}
  ~StoppingWriter() override {
    if (!is_committed_) changes_->Do([this] { writer_.reset(); });
  }

  void Append(ByteSpan bytes) override { writer_->Append(bytes); }
  void Commit() override {
    changes_->Do([this] { writer_->Commit(); });
    is_committed_ = true;
  }
  [[nodiscard]] uint64_t size_bytes() const override { return writer_->size_bytes(); }

 private:
  std::unique_ptr<ObjectWriter> writer_;
  std::shared_ptr<ChangeCounter> changes_;
  bool is_committed_ = false;
};

class StoppingStore : public ObjectStore {
 public:
  StoppingStore(std::unique_ptr<ObjectStore> store, int stop)
      : store_(std::move(store)), changes_(std::make_shared<ChangeCounter>(stop)) {}

  [[nodiscard]] std::unique_ptr<ObjectWriter> Create(const std::string& name) override {
    auto writer = changes_->Do([&] { return store_->Create(name); });
    return std::make_unique<StoppingWriter>(std::move(writer), changes_);
  }
  void Put(const std::string& name, ByteSpan bytes) override {
    const std::unique_ptr<ObjectWriter> writer = Create(name);
    writer->Append(bytes);
    writer->Commit();
  }
  bool Delete(const std::string& name) override {
    return changes_->Do([&] { return store_->Delete(name); });
  }
  void SweepTemporaries() override {
    changes_->Do([this] { store_->SweepTemporaries(); });
  }

  [[nodiscard]] std::unique_ptr<ObjectReader> Open(const std::string& name) override {
    return store_->Open(name);
  }
  [[nodiscard]] std::optional<Bytes> Get(const std::string& name, uint64_t limit_bytes) override {
    return store_->Get(name, limit_bytes);
  }
  [[nodiscard]] std::vector<ObjectInfo> List(const std::string& prefix) override {
    return store_->List(prefix);
  }
  [[nodiscard]] std::vector<std::string> ListNames(const std::string& prefix) override {
    return store_->ListNames(prefix);
  }
  [[nodiscard]] std::optional<uint64_t> FreeBytes() override { return store_->FreeBytes(); }
  [[nodiscard]] std::string Describe() const override { return store_->Describe(); }

 private:
  std::unique_ptr<ObjectStore> store_;
  std::shared_ptr<ChangeCounter> changes_;
};

}  // namespace backup_ext
