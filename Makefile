# The front door: builds, installs, tests and shows backup_ext.
#
#   make, make install, make installcheck, make clean    as for every extension; PG_CONFIG= chooses
#                                                        the server, DESTDIR= the place; QUICK=1: a third
#                                                        of the time to build, for slower code
#   make check [PG=15|18] [ONLY="unit tap"]              the whole gate (scripts/check.sh)
#   make soak [FOR=3600] [SEED=7] [PG_CONFIG=...]        random steps with backups between them, each of which
#                                                        is restored and judged, for that many seconds
#   make demo                                            a backup and a restore, shown and proven
#   make bench [PG=18]                                   against pg_basebackup and pgBackRest; with PG=18
#                                                        incremental backups, in a Debian sid
#   make dependencies                                    installs what these need (Debian 12)
#   make format                                          clang-format on every source file

SCRIPT_GOALS = check soak demo bench dependencies format
.PHONY: $(SCRIPT_GOALS)

ifneq ($(filter $(SCRIPT_GOALS),$(MAKECMDGOALS)),)
# These run before PostgreSQL is installed, so they must not ask pg_config for anything.

check:
	@PG='$(PG)' ONLY='$(ONLY)' scripts/check.sh
soak:
	@mkdir -p build/soak
	@BACKUP_EXT_SECONDS='$(or $(FOR),3600)' BACKUP_EXT_SEED='$(SEED)' \
	  scripts/check_server.sh '$(or $(PG_CONFIG),pg_config)' build/soak build soak; status=$$?; \
	  tail -n 60 build/soak/soak.log; exit $$status
demo:
	@scripts/demo.sh
bench:
ifeq ($(PG),18)
	@test "$$(id -u)" = 0 || { echo 'make bench PG=18 needs root: a Debian sid is made' >&2; exit 1; }
	@scripts/sid_chroot.sh prepare && scripts/sid_chroot.sh bench incremental_backup.sh
else
	@test/bench/full_backup.sh
	@test/bench/incremental_backup.sh
	@test/bench/restore.sh
	@test/bench/many_relations.sh
	@test/bench/many_media_files.sh
	@test/bench/load_manners.sh
endif
dependencies:
	@scripts/install_dependencies.sh check demo bench
format:
	@scripts/check_format.sh --fix

else

PG_CONFIG ?= pg_config
SERVER_VERSION := $(shell $(PG_CONFIG) --version 2>/dev/null)
ifeq ($(SERVER_VERSION),)
$(error could not run "$(PG_CONFIG)"; install postgresql-server-dev-15 (make dependencies does), \
  or name the program with PG_CONFIG=)
endif
SERVER_MAJOR := $(shell echo '$(SERVER_VERSION)' | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
SERVER_INCLUDES := $(shell $(PG_CONFIG) --includedir-server)

# Taken before PGXS sets CXX to the compiler of whoever packaged the server.
SERVER_CXX := $(CXX)
COMPILER_VERSION := $(shell $(SERVER_CXX) -dM -E -x c++ /dev/null | awk \
  '$$2 == "__GNUC__" { gcc = $$3 } $$2 == "__clang_major__" { clang = $$3 } \
   END { print clang ? "clang-" clang : "gcc-" gcc }')

EXTENSION = backup_ext
MODULE_big = backup_ext
DATA = $(wildcard sql/backup_ext--*.sql)
# Every other file in sql/ is a case of pg_regress.
REGRESS = $(patsubst sql/%.sql,%,$(filter-out sql/backup_ext--%,$(sort $(wildcard sql/*.sql))))
EXTENSION_VERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" backup_ext.control)

# Objects of one server or compiler are never linked for another: a directory for each, and a stamp
# that changes with what they are built for.
CORE_BUILD ?= build/core-$(COMPILER_VERSION)$(and $(QUICK),-quick)
SERVER_BUILD := build/server-$(SERVER_MAJOR)-$(COMPILER_VERSION)$(and $(QUICK),-quick)
OPTIMIZATION := $(if $(QUICK),-O1,-O2 -g1)
SERVER_SOURCES := $(sort $(wildcard src/server/*.cpp))
# With QUICK a dozen files are compiled as one.
MERGED_FILES := 12
MERGED := $(shell seq $$((($(words $(SERVER_SOURCES)) + $(MERGED_FILES) - 1) / $(MERGED_FILES))))
OBJS = $(if $(QUICK),$(MERGED:%=$(SERVER_BUILD)/merged_%.o),$(SERVER_SOURCES:src/server/%.cpp=$(SERVER_BUILD)/%.o))
ROOMS := $(notdir $(wildcard src/core/*))
CORE_LIBRARIES = $(ROOMS:%=$(CORE_BUILD)/libcore_%.a)
PROGRAM_FILE = $(CORE_BUILD)/backup_ext

# --exclude-libs: another extension in the same server may bring its own copies of these libraries.
EXPORTED_SYMBOLS = src/server/exported_symbols.map
SHLIB_LINK = -Wl,--version-script=$(EXPORTED_SYMBOLS) \
  -Wl,--start-group $(CORE_LIBRARIES) -Wl,--end-group -Wl,--exclude-libs,ALL \
  -lfmt -lzstd -lcrypto -lpthread
EXTRA_CLEAN = build

# Bitcode for the JIT compiler gains nothing here, and its rule cannot compile C++20.
override with_llvm := no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Makefile.shlib links with the C compiler.
override COMPILER = $(SERVER_CXX) -g -O2

# A compiler that nobody has tried yet may warn about more: that must not stop a user.
ifneq ($(filter gcc-12 clang-14,$(COMPILER_VERSION)),)
WARNINGS_ARE_ERRORS = -Werror
endif
# -isystem: warnings of PostgreSQL's headers are not ours, but those of their macros are: `register`
# in 15, counting up a volatile in all.
SERVER_CXXFLAGS = -std=c++20 $(OPTIMIZATION) -fPIC -fno-strict-aliasing -fwrapv \
  -fstack-protector-strong -D_FORTIFY_SOURCE=2 -D_GNU_SOURCE \
  -Wall -Wextra $(WARNINGS_ARE_ERRORS) -Wno-register -Wno-deprecated-volatile \
  -Isrc -Isrc/core -isystem $(SERVER_INCLUDES) \
  -DBACKUP_EXT_VERSION='"$(EXTENSION_VERSION)"' $(PG_CXXFLAGS) $(COPT)

BUILT_FOR := $(SERVER_VERSION) $(SERVER_INCLUDES) $(SERVER_CXX) $(COMPILER_VERSION) \
  $(EXTENSION_VERSION) $(PG_CXXFLAGS) $(COPT)

.PHONY: FORCE core-build program server-objects install-program uninstall-program
FORCE:

build/linked_for: BUILT_FOR += $(CORE_BUILD)
$(SERVER_BUILD)/built_for build/linked_for: FORCE
	@mkdir -p $(@D)
	@echo '$(BUILT_FOR)' | cmp -s - $@ || echo '$(BUILT_FOR)' > $@

$(SERVER_BUILD)/%.o: src/server/%.cpp $(SERVER_BUILD)/built_for
	$(SERVER_CXX) $(SERVER_CXXFLAGS) -MMD -MP -c -o $@ $<
# PostgreSQL's headers give other names to functions of C: the headers of others come before.
$(MERGED:%=$(SERVER_BUILD)/merged_%.o): %.o: %.cpp $(SERVER_BUILD)/built_for
	$(SERVER_CXX) $(SERVER_CXXFLAGS) -include src/core/base/precompiled.h -include nlohmann/json.hpp \
	  -MMD -MP -c -o $@ $<
$(MERGED:%=$(SERVER_BUILD)/merged_%.cpp): $(SERVER_BUILD)/merged_%.cpp: $(SERVER_SOURCES) $(SERVER_BUILD)/built_for
	printf '#include "%s"\n' $(SERVER_SOURCES:src/%=%) | \
	  awk 'int((NR - 1) / $(MERGED_FILES)) + 1 == $*' > $@
-include $(OBJS:.o=.d)

# Compiles without linking: the gate's second compiler.
server-objects: $(OBJS)

$(shlib): build/linked_for $(EXPORTED_SYMBOLS) $(CORE_LIBRARIES)

# CMake knows best what is out of date. A library that it leaves alone keeps its time, and the module
# is not linked again: that is what the recipe that does nothing is for. MAKEFLAGS: CMake's make must
# not join the job server of this one.
JOBS ?= $(shell nproc)
$(CORE_LIBRARIES) $(PROGRAM_FILE): core-build
	@:
core-build:
	@test $(CORE_BUILD)/Makefile -nt CMakeLists.txt || env -u MAKEFLAGS -u MAKELEVEL cmake -S . -B $(CORE_BUILD) \
	  -G 'Unix Makefiles' -DCMAKE_CXX_COMPILER='$(SERVER_CXX)' -DBACKUP_EXT_TESTS=OFF \
	  -DBACKUP_EXT_MERGE=$(if $(QUICK),ON,OFF) -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='$(OPTIMIZATION) -DNDEBUG'
# Again, with what is set there: a room that is new is not known by its name yet.
	@env -u MAKEFLAGS -u MAKELEVEL cmake $(CORE_BUILD) > /dev/null
	@env -u MAKEFLAGS -u MAKELEVEL cmake --build $(CORE_BUILD) --parallel $(JOBS) \
	  --target $(ROOMS:%=core_%) backup_ext_cli

program: $(PROGRAM_FILE)
all: program

install: install-program
install-program: program installdirs
	$(MKDIR_P) '$(DESTDIR)$(bindir)'
	$(INSTALL_PROGRAM) $(PROGRAM_FILE) '$(DESTDIR)$(bindir)/backup_ext'
	$(PROGRAM_FILE) man-page > $(CORE_BUILD)/backup_ext.1
	$(MKDIR_P) '$(DESTDIR)$(mandir)/man1'
	$(INSTALL_DATA) $(CORE_BUILD)/backup_ext.1 '$(DESTDIR)$(mandir)/man1/backup_ext.1'

uninstall: uninstall-program
uninstall-program:
	rm -f '$(DESTDIR)$(bindir)/backup_ext' '$(DESTDIR)$(mandir)/man1/backup_ext.1'

endif
