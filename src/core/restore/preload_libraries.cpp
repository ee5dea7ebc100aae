// The list of libraries that a copy may load, and the server's own list read and written.
#include "restore/preload_libraries.h"

#include <algorithm>
#include <array>

namespace backup_ext {
namespace {

constexpr std::string_view kListBlanks = " \t\r\n\f\v";

// Sorted. Most watch, explain or restrict, and keep what they count in memory. Replay and reading
// need columnar, orioledb, pg_tde, pgroonga_wal_resource_manager and timescaledb (its workers are
// switched off). What needs no preloading is not here: a session loads it when it is used.
constexpr std::array<std::string_view, 25> kHarmlessLibraries = {"age",
                                                                 "anon",
                                                                 "auth_delay",
                                                                 "auto_explain",
                                                                 "columnar",
                                                                 "credcheck",
                                                                 "orioledb",
                                                                 "passwordcheck",
                                                                 "pg_hint_plan",
                                                                 "pg_overexplain",
                                                                 "pg_qualstats",
                                                                 "pg_show_plans",
                                                                 "pg_stat_kcache",
                                                                 "pg_stat_monitor",
                                                                 "pg_stat_statements",
                                                                 "pg_tde",
                                                                 "pg_wait_sampling",
                                                                 "pgaudit",
                                                                 "pgroonga_wal_resource_manager",
                                                                 "plan_filter",
                                                                 "plpgsql_check",
                                                                 "safeupdate",
                                                                 "sepgsql",
                                                                 "set_user",
                                                                 "timescaledb"};

char LowerCase(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// `$libdir/pg_cron.so` is pg_cron.
std::string LibraryName(std::string_view item) {
  item.remove_prefix(item.rfind('/') == std::string_view::npos ? 0 : item.rfind('/') + 1);
  if (item.ends_with(".so")) item.remove_suffix(3);
  std::string name(item);
  std::ranges::transform(name, name.begin(), LowerCase);
  return name;
}

// The items of a list as SplitDirectoriesString() sees them: commas, double quotes doubled inside.
std::vector<std::string> SplitList(std::string_view list) {
  std::vector<std::string> items(1);
  bool quoted = false;
  bool was_quoted = false;
  for (size_t i = 0; i < list.size(); ++i) {
    const char c = list[i];
    if (c == '"') {
      if (quoted && i + 1 < list.size() && list[i + 1] == '"') {
        items.back() += list[++i];
        continue;
      }
      quoted = !quoted;
      was_quoted = true;
    } else if (c == ',' && !quoted) {
      items.emplace_back();
      was_quoted = false;
    } else if (quoted || kListBlanks.find(c) == std::string_view::npos ||
               (!items.back().empty() && !was_quoted)) {
      items.back() += c;
    }
  }
  for (std::string& item : items) {
    item.resize(item.find_last_not_of(kListBlanks) + 1);
  }
  std::erase(items, "");
  return items;
}

void AppendItem(const std::string& item, std::string* list) {
  if (!list->empty()) *list += ", ";
  if (item.find_first_of(" ,\"") == std::string::npos) {
    *list += item;
    return;
  }
  *list += '"';
  for (const char c : item) list->append(c == '"' ? 2 : 1, c);
  *list += '"';
}

}  // namespace

FilteredLibraries FilterLibraries(std::string_view list) {
  FilteredLibraries result;
  for (const std::string& item : SplitList(list)) {
    std::string name = LibraryName(item);
    if (!std::ranges::binary_search(kHarmlessLibraries, name)) {
      result.removed.push_back(std::move(name));
      continue;
    }
    result.kept_names.push_back(std::move(name));
    AppendItem(item, &result.kept);
  }
  return result;
}

}  // namespace backup_ext
