# SPDX-License-Identifier: Apache-2.0
# Targets for people: formatting, lint, the demo, the whole test run.
##@ Project

FORMATTED := $(foreach s,$(ALL_SRC) $(HEADERS),$(s))
CLANG_FORMAT ?= clang-format

format: ## Format all C files
	$(CLANG_FORMAT) -i $(FORMATTED)

format-check: ## Fail when a C file is not formatted
	@bash tests/lint/format.sh

.PHONY: format format-check
