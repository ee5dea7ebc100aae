// Keeps damaged pages within bounds and puts them into words.
#include "backup/damage_list.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace backup_ext {
namespace {

constexpr size_t kDescribedPages = 10;

}  // namespace

void DamageList::Add(DamagedPage page) {
  ++count_;
  if (pages_.size() < kKeptPages) pages_.push_back(std::move(page));
}

void DamageList::Append(DamageList other) {
  count_ += other.count_;
  const size_t taken = std::min(other.pages_.size(), kKeptPages - pages_.size());
  std::move(other.pages_.begin(), other.pages_.begin() + static_cast<ptrdiff_t>(taken),
            std::back_inserter(pages_));
}

void DamageList::RemoveFiles(const std::set<std::string>& paths) {
  count_ -=
      std::erase_if(pages_, [&](const DamagedPage& page) { return paths.contains(page.path); });
}

std::string DamageList::Describe() const {
  std::set<std::string> files;
  for (const DamagedPage& page : pages_) files.insert(page.path);
  // Files that only have pages beyond the kept ones are not counted.
  std::string text =
      fmt::format("{} {} in {}{} {} failed {} checksum: ", count_, count_ == 1 ? "page" : "pages",
                  count_ > pages_.size() ? "at least " : "", files.size(),
                  files.size() == 1 ? "file" : "files", count_ == 1 ? "its" : "their");
  const size_t described = std::min(pages_.size(), kDescribedPages);
  for (size_t i = 0; i < described; ++i) {
    text += fmt::format("{}{} block {}", i == 0 ? "" : ", ", pages_[i].path, pages_[i].block);
  }
  if (count_ > described) text += ", ...";
  return text;
}

}  // namespace backup_ext
