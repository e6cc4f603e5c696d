# SPDX-License-Identifier: Apache-2.0
# Unit tests, fuzz targets, header self-check and the suites of `make test`.
##@ Testing

# tests/unit/<area>/**/test_x.c is a program; other .c files of an area are
# helpers linked into each test of it (area system: those of controlplane);
# tests/unit/support/ into every test.
RESULTS ?= $(B)/results
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
SUITE = HG_BIN='$(abspath $(B))/bin' RESULTS='$(RESULTS)' JOBS='$(JOBS)' \
	bash tests/run-suite.sh
UNIT_AREAS := $(AREAS) provider money system
UNIT_SRC := $(foreach s,$(SRC_unit),$(if $(filter test_%,$(notdir $(s))),$(s)))
SUPPORT_OBJ := $(call obj,$(filter tests/unit/support/%,$(SRC_unit)))
UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))
UNIT_RUN := $(if $(T),$(filter $(B)/unit/$(T) $(B)/unit/$(T)/%,$(UNIT_BIN)),\
	$(UNIT_BIN))

# tests/unit/support/oom.c makes allocations fail on purpose, lock.c checks who
# locks what.
comma := ,
UNIT_WRAP := $(if $(SUPPORT_OBJ),$(patsubst %,-Wl$(comma)--wrap=%,\
	malloc calloc realloc strdup strndup free pthread_mutex_init \
	pthread_mutex_lock pthread_mutex_unlock))

define unit_area
HELP_$(1) := $$(call obj,$$(filter-out $$(UNIT_SRC),\
	$$(filter tests/unit/$(1:system=controlplane)/%,$$(SRC_unit))))
$$(filter $$(B)/unit/$(1)/%,$$(UNIT_BIN)): $$(B)/unit/%: \
		$$(B)/obj/tests/unit/%.o $$(HELP_$(1)) $$(SUPPORT_OBJ) \
		$$(call lib,$$(NEED_$(1)))
	$$(call say,LINK,$$@)
	$$(call link,$$< $$(HELP_$(1)) $$(SUPPORT_OBJ) ,$(1),) $(LIBS_check) \
	    $$(UNIT_WRAP)
endef
$(foreach a,$(UNIT_AREAS),$(eval $(call unit_area,$(a))))

check: $(UNIT_RUN) ## Run the unit tests (T=area/test_x C=case to narrow)
	@$(if $(UNIT_RUN),true,echo 'no unit test matches T=$(T)'; exit 2)
	@$(if $(C),CK_RUN_CASE='$(C)') $(SUITE) 'unit-$(MODE)' $(UNIT_RUN)

# A fuzz target links with the areas whose headers it includes.
REPLAY_BIN := $(patsubst tests/fuzz/%.c,$(B)/replay/%,$(SRC_fuzz))
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(SRC_fuzz))
areas_of = $(shell sed -n 's,^\#include "\([a-z]*\)/.*,\1,p' $(1) | sort -u)
fuzz_need = $(or $(firstword $(filter controlplane agent cli,$(1)) \
	$(filter proto,$(1))),common)

define fuzz_target
FUZZ_AREA_$(1) := $$(call fuzz_need,$$(call areas_of,tests/fuzz/$(1).c))
$$(B)/replay/$(1): $$(B)/obj/tests/fuzz/$(1).o \
		$$(B)/obj/tests/fuzz/replay_main.o \
		$$(call lib,$$(NEED_$$(FUZZ_AREA_$(1))))
	$$(call say,LINK,$$@)
	$$(call link,$$(filter %.o,$$^),$$(FUZZ_AREA_$(1))) -ljansson
$$(B)/fuzz/$(1): $$(B)/obj/tests/fuzz/$(1).o \
		$$(call lib,$$(NEED_$$(FUZZ_AREA_$(1))))
	$$(call say,LINK,$$@)
	$$(call link,-fsanitize=fuzzer $$(filter %.o,$$^),$$(FUZZ_AREA_$(1))) \
	    -ljansson
endef
$(foreach f,$(notdir $(SRC_fuzz:.c=)),$(eval $(call fuzz_target,$(f))))

replay: $(REPLAY_BIN) ## Run the fuzz corpora through the targets, no fuzzer
	@$(SUITE) 'replay-$(MODE)' $(REPLAY_BIN)

fuzz: ## Fuzz each target FUZZ_SECONDS (60) with clang (T=fuzz_x for one)
	@bash tests/tools/deps.sh build fuzz
	$(Q)$(MAKE) --no-print-directory MODE=fuzz B=build/fuzz fuzz-run

fuzz-run: $(if $(T),$(filter $(B)/fuzz/$(T),$(FUZZ_BIN)),$(FUZZ_BIN))
	@bash tests/fuzz/run.sh '$(FUZZ_SECONDS)' $^

# tests/bench/<x>_bench.c is a program; it may use the helpers of the unit
# tests of its area, but for their kits, which make allocations fail. One of both
# sides is of area `system` and may use the control plane's.
SRC_bench := $(sort $(wildcard tests/bench/*_bench.c))
BENCH_BIN := $(patsubst tests/bench/%.c,$(B)/bin/%,$(SRC_bench))

bench_need = $(if $(and $(filter agent,$(1)),$(filter controlplane,$(1))),\
	system,$(call fuzz_need,$(1)))
define bench_target
BENCH_AREA_$(1) := $$(strip \
	$$(call bench_need,$$(call areas_of,tests/bench/$(1).c)))
$$(B)/bin/$(1): $$(B)/obj/tests/bench/$(1).o \
		$$(filter-out %_kit.o,\
		$$(HELP_$$(BENCH_AREA_$(1):system=controlplane))) \
		$$(call lib,$$(NEED_$$(BENCH_AREA_$(1))))
	$$(call say,LINK,$$@)
	$$(call link,$$(filter %.o,$$^),$$(BENCH_AREA_$(1))) $$(LIBS_check)
endef
$(foreach f,$(notdir $(SRC_bench:.c=)),$(eval $(call bench_target,$(f))))

bench-programs: all $(BENCH_BIN)

# Only `make reliability` needs these, under MODE=asan; they are made of helpers
# of the unit tests, too.
ALLOCS_OBJ := $(call obj,$(filter-out %/control.c,$(SRC_allocs)) \
	tests/reliability/disk.c tests/reliability/work.c \
	$(patsubst %,tests/unit/agent/%.c,config_kit rig fake)) $(SUPPORT_OBJ)
ALLOCS_CONTROL_OBJ := $(call obj,$(filter %/main.c %/control.c,$(SRC_allocs))) \
	$(SUPPORT_OBJ)

$(B)/bin/headgate-allocs: $(ALLOCS_OBJ) $(call lib,$(NEED_agent))
	$(call say,LINK,$@)
	$(call link,$(ALLOCS_OBJ),agent) $(LIBS_check) $(UNIT_WRAP)

$(B)/bin/headgate-allocs-control: $(ALLOCS_CONTROL_OBJ) \
		$(call lib,$(NEED_allocs_control))
	$(call say,LINK,$@)
	$(call link,$(ALLOCS_CONTROL_OBJ),allocs_control) $(LIBS_check) \
	    $(UNIT_WRAP)

HDR_OK := $(HEADERS:%=$(B)/hdr/%.ok)
headers: $(HDR_OK) ## Compile each header alone

$(B)/hdr/%.h.ok: %.h $(FLAGS_FILE) | $(GEN_PROTO_H)
	$(Q)mkdir -p $(@D)
	$(Q)echo '#include "$<"' | $(CC) $(CPPFLAGS_ALL) $(WARN) $(CFLAGS_ALL) \
	    -MMD -MP -MF $(@:.ok=.d) -MT $@ -fsyntax-only -x c - && touch $@
-include $(HDR_OK:.ok=.d)

# Each executable tests/e2e/test_* is a test of real processes.
E2E := $(sort $(wildcard tests/e2e/test_*.sh tests/e2e/test_*.mjs))
E2E_RUN := $(if $(T),$(filter tests/e2e/$(T) tests/e2e/$(T).%,$(E2E)),$(E2E))

e2e: all tokenizers $(B)/unit/agent/test_access ## Run the end-to-end tests (T=test_x to narrow)
	@bash tests/tools/deps.sh build test
	@PATH="$(CURDIR)/build/tools/bin:$$PATH" HG_BIN='$(abspath $(B))/bin' \
	    HG_ROOT='$(CURDIR)' RESULTS='$(RESULTS)' JOBS=1 \
	    bash tests/run-suite.sh e2e $(E2E_RUN)

sim: $(B)/bin/headgate-sim ## Simulate the money protocol (SIM_SEEDS, SIM_SECONDS)
	@TEST_TIMEOUT=$${TEST_TIMEOUT:-900} $(SUITE) 'sim' tests/sim/test_sim.sh

test: ## Run all suites; ends with "N passed, N failed, N skipped"
	@bash tests/run-all.sh

.PHONY: bench-programs check replay fuzz fuzz-run headers e2e sim test
