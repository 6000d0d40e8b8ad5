# SPDX-License-Identifier: GPL-2.0-only
#
# Every command of the README is a target here. `make` alone lists them. The work is done by
# tools/lab; the module's own build is Kbuild's.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

lab := $(CURDIR)/tools/lab/lab

# Where a module for a person's own kernel is built.
CUSTOM := $(CURDIR)/build/custom

export PATCH OUT SCRIPT DEBUG ONLY ALL

##@ To use

run: ## sets everything up and ends at a shell in a guest; SCRIPT=FILE runs FILE there instead
	@$(lab) run

test: ## runs every test; DEBUG=1 on the debug kernel; ONLY='NAME...' some suites
	@$(lab) test

test-long: ## runs the tests that take long
	@$(lab) test-long

bench: ## counts instructions for each kind of exit, KVM's beside them
	@$(lab) bench

lint: ## checks style and the house rules
	@$(lab) lint

fmt: ## formats the Rust code
	@$(lab) fmt

shell: ## opens a shell in the build root
	@$(lab) enter

##@ To build

ifdef KDIR
check_kdir := LLVM="$(LLVM)" CC="$(if $(filter default,$(origin CC)),,$(CC))" RUSTC="$(RUSTC)" \
	BINDGEN="$(BINDGEN)" tools/lab/check-kdir "$(KDIR)"

modules: ## builds the module; KDIR=FOLDER for a kernel of your own
	@$(check_kdir)
	$(MAKE) -C $(KDIR) M=$(CURDIR) MO=$(CUSTOM) modules
	@echo "the module is $(CUSTOM)/oxen.ko"

modules_install:
	$(MAKE) -C $(KDIR) M=$(CURDIR) MO=$(CUSTOM) modules_install
else
modules:
	@$(lab) modules
endif

root: ## makes the build root
	@$(lab) root

kernel: ## prepares Debian's kernel for out-of-tree modules
	@$(lab) kernel

debug-kernel: ## builds the debug kernel
	@$(lab) debug-kernel

tools: ## builds the oxen command
	@$(lab) tools

initramfs: ## makes the guest's initramfs
	@$(lab) initramfs

livepatch: ## makes a live patch for the module as built: PATCH=fix.diff OUT=fix.livepatch
	@$(lab) livepatch

##@ To tidy

update: ## looks for a newer Debian kernel from now on
	@$(lab) update

clean: ## removes what was built in this checkout
	@$(lab) clean

clean-cache: ## removes cached builds that this checkout does not use; ALL=1 all of them
	@$(lab) clean-cache

help: ## lists the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "%s\n%s:\n", (n++ ? "" : "usage: make TARGET"), substr($$0, 5) } \
		/^[a-z_-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run test test-long bench lint fmt shell modules modules_install root kernel debug-kernel \
	tools initramfs livepatch update clean clean-cache help
