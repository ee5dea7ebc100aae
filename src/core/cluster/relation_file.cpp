// Reads the names that PostgreSQL gives to relation files and their directories.
#include "cluster/relation_file.h"

#include <charconv>

#include "base/digits.h"

namespace backup_ext {
namespace {

bool TakePrefix(std::string_view prefix, std::string_view* text) {
  if (!text->starts_with(prefix)) return false;
  text->remove_prefix(prefix.size());
  return true;
}

// 1 to 2^32-1 without leading zeroes: one number has one spelling, and so a file one name.
std::optional<uint32_t> TakeNumber(std::string_view* text) {
  if (text->empty() || text->front() < '1' || text->front() > '9') return std::nullopt;
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc()) return std::nullopt;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return number;
}

bool TakeDigits(std::string_view* text) {
  size_t count = 0;
  while (count < text->size() && IsDigit((*text)[count])) ++count;
  text->remove_prefix(count);
  return count > 0;
}

// The fork that `_fsm`, `_vm` or `_init` names; the main one where there is no such suffix.
std::optional<Fork> TakeFork(std::string_view* text) {
  if (!text->starts_with('_')) return Fork::kMain;
  if (TakePrefix("_fsm", text)) return Fork::kFreeSpaceMap;
  if (TakePrefix("_vm", text)) return Fork::kVisibilityMap;
  if (TakePrefix("_init", text)) return Fork::kInit;
  return std::nullopt;
}

}  // namespace

std::optional<RelationFileName> ParseRelationFileName(std::string_view name) {
  const std::optional<uint32_t> number = TakeNumber(&name);
  if (!number) return std::nullopt;
  const std::optional<Fork> fork = TakeFork(&name);
  if (!fork) return std::nullopt;
  RelationFileName file = {.number = *number, .fork = *fork, .segment = 0};
  if (TakePrefix(".", &name)) {
    const std::optional<uint32_t> segment = TakeNumber(&name);
    if (!segment) return std::nullopt;
    file.segment = *segment;
  }
  if (!name.empty()) return std::nullopt;
  return file;
}

bool IsTemporaryRelationName(std::string_view name) {
  if (!TakePrefix("t", &name) || !TakeDigits(&name)) return false;
  if (!TakePrefix("_", &name) || !TakeDigits(&name)) return false;
  if (!TakeFork(&name)) return false;
  if (TakePrefix(".", &name) && !TakeDigits(&name)) return false;
  return name.empty();
}

bool IsRelationDirectory(std::string_view directory) {
  return directory == "global" || IsDatabaseDirectory(directory);
}

bool IsDatabaseDirectory(std::string_view directory) { return DatabaseOfDirectory(directory) != 0; }

uint32_t DatabaseOfDirectory(std::string_view directory) {
  if (!TakePrefix("base/", &directory)) {
    // pg_tblspc/16385/PG_15_202209061/5, TABLESPACE_VERSION_DIRECTORY.
    if (!TakePrefix("pg_tblspc/", &directory) || !TakeNumber(&directory)) return 0;
    if (!TakePrefix("/PG_", &directory) || !TakeDigits(&directory)) return 0;
    if (!TakePrefix("_", &directory) || !TakeDigits(&directory)) return 0;
    if (!TakePrefix("/", &directory)) return 0;
  }
  const std::optional<uint32_t> database = TakeNumber(&directory);
  return directory.empty() ? database.value_or(0) : 0;
}

bool IsOid(std::string_view name) { return TakeNumber(&name) && name.empty(); }

}  // namespace backup_ext
