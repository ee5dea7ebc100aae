// The links of pg_tblspc, and the tablespace_map from which a first start makes them anew.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace backup_ext {

// oid and target of every link in `<directory>/pg_tblspc`, as they stand there. Tablespaces in
// place have none.
[[nodiscard]] std::map<uint32_t, std::string> ReadTablespaceLinks(const std::string& directory);

// One line of a tablespace_map, escaped as the server does.
// Source: src/backend/access/transam/xlog.c, do_pg_backup_start().
[[nodiscard]] std::string TablespaceMapLine(uint32_t oid, std::string_view target);

// Every link, and line of tablespace_map, that leads to `from` or below it then leads to the same
// place of `to`. Each change is atomic and durable; can be called again.
void LeadTablespacesTo(const std::string& directory, const std::string& from,
                       const std::string& to);

}  // namespace backup_ext
