# SPDX-License-Identifier: GPL-2.0-only
#
# Included at the end of each test folder's Makefile, which sets
#
#   TEST_PROGS           scripts that are tests
#   TEST_GEN_PROGS       programs that are tests, built from NAME.c
#   TEST_LAST_PROGS      scripts that are tests and run after all others
#   TEST_PROGS_EXTENDED  scripts that tests call
#   TEST_GEN_FILES       files that tests need, built
#   TEST_FILES           files that tests need
#
# and may hold rules of its own. A folder's `settings` may set timeout=SECONDS (45; 0 for never).

top := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
name := $(notdir $(CURDIR))
OUTPUT ?= $(CURDIR)

CFLAGS += -std=gnu11 -O2 -g -Wall -Wextra -Werror -D_GNU_SOURCE -I$(top)/lib -I$(top)/../include/uapi

progs := $(TEST_PROGS) $(TEST_GEN_PROGS) $(TEST_LAST_PROGS)
sources := $(TEST_PROGS) $(TEST_LAST_PROGS) $(TEST_PROGS_EXTENDED) $(TEST_FILES) $(wildcard settings)
generated := $(TEST_GEN_PROGS) $(TEST_GEN_FILES)

all: $(addprefix $(OUTPUT)/,$(generated))

$(OUTPUT)/%: %.c $(wildcard $(top)/lib/*.h)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LDLIBS)

ifneq ($(OUTPUT),$(CURDIR))
copy_sources = cp -p $(sources) $(OUTPUT)/
endif

run_tests: all
	@$(copy_sources)
	@$(top)/run_kselftest.sh -d $(OUTPUT) $(name) $(progs)

install: all
	@mkdir -p $(INSTALL_PATH)/$(name)
	@cp -p $(sources) $(addprefix $(OUTPUT)/,$(generated)) $(INSTALL_PATH)/$(name)/
	@printf '$(name):%s\n' $(progs) >>$(INSTALL_PATH)/kselftest-list.txt

emit_tests:
	@printf '$(name):%s\n' $(progs)

clean:
	rm -f $(addprefix $(OUTPUT)/,$(generated))

.DEFAULT_GOAL := all
.PHONY: all run_tests install emit_tests clean
