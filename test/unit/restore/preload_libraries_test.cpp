// Which libraries a copy loads, and the list as the server reads it.
#include "restore/preload_libraries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backup_ext {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(PreloadLibraries, KeepsTheKnownAndLeavesOutTheRest) {
  const FilteredLibraries libraries = FilterLibraries(
      "pg_stat_statements, $libdir/pg_cron.so ,\"backup_ext\",\"odd, \"\"name\",timescaledb");
  EXPECT_EQ(libraries.kept, "pg_stat_statements, timescaledb");
  EXPECT_THAT(libraries.kept_names, ElementsAre("pg_stat_statements", "timescaledb"));
  EXPECT_THAT(libraries.removed, ElementsAre("pg_cron", "backup_ext", "odd, \"name"));
}

// Those packaged for 15 that run jobs, connect, publish, open a port or start others.
TEST(PreloadLibraries, WhatActsIsLeftOut) {
  for (const char* name :
       {"backup_ext",        "bgw_replstatus", "citus",          "pg_cron",    "pg_fact_loader",
        "pg_failover_slots", "pg_net",         "pg_partman_bgw", "pg_squeeze", "pg_task",
        "pgauditlogtofile",  "pgautofailover", "pgl_ddl_deploy", "pglogical",  "pglogical_ticker",
        "pgmemcache",        "powa",           "repmgr",         "spock",      "worker_spi"}) {
    EXPECT_THAT(FilterLibraries(name).removed, ElementsAre(name));
    EXPECT_EQ(FilterLibraries(name).kept, "");
  }
}

TEST(PreloadLibraries, WhatReplayOrReadingNeedsIsKept) {
  for (const char* name :
       {"columnar", "orioledb", "pg_tde", "pgroonga_wal_resource_manager", "timescaledb"}) {
    EXPECT_EQ(FilterLibraries(name).kept, name);
  }
}

TEST(PreloadLibraries, KnowsALibraryByItsFile) {
  const FilteredLibraries libraries =
      FilterLibraries("$libdir/pgaudit.so, \"/usr/lib/my extensions/Auto_Explain\", \"set_user\"");
  EXPECT_EQ(libraries.kept,
            "$libdir/pgaudit.so, \"/usr/lib/my extensions/Auto_Explain\", set_user");
  EXPECT_THAT(libraries.kept_names, ElementsAre("pgaudit", "auto_explain", "set_user"));
}

TEST(PreloadLibraries, AnEmptyListHasNone) {
  for (const char* list : {"", "  ", ",", "\"\"", " , ,\n"}) {
    EXPECT_EQ(FilterLibraries(list).kept, "") << list;
    EXPECT_THAT(FilterLibraries(list).removed, IsEmpty()) << list;
  }
}

TEST(PreloadLibraries, EveryNameOfTheListIsFound) {
  // They are looked up by bisection: one out of order would be left out.
  for (const char* name : {"age",
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
                           "timescaledb"}) {
    EXPECT_THAT(FilterLibraries(name).kept_names, ElementsAre(name));
  }
}

}  // namespace
}  // namespace backup_ext
