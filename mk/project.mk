# SPDX-License-Identifier: Apache-2.0
# Targets for people: the demo, benchmarks, formatting, lint, documents.
##@ Project

DEMO := $(wildcard tests/demo/run.sh)
BENCH := $(wildcard tests/bench/run.sh)
RELIABILITY := $(wildcard tests/reliability/run.sh)
CLANG_FORMAT ?= clang-format
CLANG_TIDY ?= clang-tidy

demo: ## Install what is missing, build, run the whole loop, print the bill
	@bash tests/tools/deps.sh build test data
	@$(MAKE) --no-print-directory all tokenizers
	@$(call script,demo,$(DEMO))

demo-script:
	@echo $(DEMO)

down: ## Stop what `make demo` left running
	@$(call script,down,$(wildcard tests/demo/down.sh))

bench: ## Performance beside its baselines in the same run
	@bash tests/tools/deps.sh build data test bench
	@$(MAKE) --no-print-directory MODE=release B=build/release bench-programs \
	    tokenizers
	@$(call script,bench,$(BENCH),release)

ifneq ($(RELIABILITY),)
reliability: ## Fault suites at CI size (SOAK=1 for more)
	@bash tests/tools/deps.sh build test
	@DEPS_NPM=0 bash tests/tools/deps.sh reliability || \
	    echo 'going on; suites that need these packages are skipped'
	@$(MAKE) --no-print-directory all
	@$(call script,reliability,$(RELIABILITY))
endif

# script NAME, FILE, MODE: run it with the programs of this build.
script = $(if $(2),PATH="$(CURDIR)/build/tools/bin:$$PATH" \
	HG_ROOT='$(CURDIR)' \
	HG_BIN='$(abspath $(if $(3),build/$(3),$(B)))/bin' bash $(2),\
	echo 'make $(1): not there yet'; exit 1)

deps: ## Install every package that any target needs (apt, npm)
	@bash tests/tools/deps.sh build data test lint fuzz bench

docs: all ## Write the generated documents (docs/CONFIG.md, openapi.json, ...)
	@HG_BIN='$(B)/bin' bash tests/tools/gen-docs.sh docs

format: ## Format all C files
	@git ls-files -co --exclude-standard -- '*.c' '*.h' | \
	    xargs -r $(CLANG_FORMAT) -i

format-check: ## Fail when a C file is not formatted
	@bash tests/lint/check_format.sh

LINTS := $(sort $(wildcard tests/lint/check_*.sh))
LINT_RUN := $(if $(T),$(filter tests/lint/$(T).sh tests/lint/check_$(T).sh,\
	$(LINTS)),$(LINTS))

lint: ## All checks of tests/lint (T=layers for one)
	@bash tests/tools/deps.sh build lint
	@$(MAKE) --no-print-directory -k all || true
	@B='$(B)' HG_BIN='$(B)/bin' CLANG_FORMAT='$(CLANG_FORMAT)' JOBS=1 \
	    RESULTS='$(RESULTS)' bash tests/run-suite.sh lint $(LINT_RUN)

# Slow, so not part of lint. T=agent narrows it to a folder.
analyze: $(GEN_PROTO_H) ## clang-tidy on all sources (T=folder to narrow)
	@printf '%s\n' $(filter $(if $(T),$(T)/%,%),$(filter-out tests/%,\
	    $(ALL_SRC))) | xargs -r -n 1 -P '$(JOBS)' sh -c \
	    '$(CLANG_TIDY) --quiet "$$0" -- -std=gnu17 $(CPPFLAGS_ALL)'

.PHONY: demo demo-script down bench reliability deps docs format \
	format-check lint analyze
