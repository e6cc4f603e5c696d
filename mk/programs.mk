# SPDX-License-Identifier: Apache-2.0
# The programs. One whose main file does not exist yet is left out.
##@ Building

PROGRAMS := \
	$(if $(wildcard controlplane/main.c),$(B)/bin/headgate-control) \
	$(if $(wildcard agent/main.c),$(B)/bin/headgate-agent) \
	$(if $(wildcard cli/main.c),$(B)/bin/headgate)
TEST_PROGRAMS := \
	$(if $(wildcard tests/provider/main.c),$(B)/bin/headgate-provider) \
	$(if $(SRC_load),$(B)/bin/headgate-load)

all: $(PROGRAMS) $(TEST_PROGRAMS) ## Build all programs into $(B)/bin

link = $(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS_ALL) -o $@ $(1) \
	$(call lib,$(NEED_$(2))) $(LIBS_$(2)) $(LIBS)

$(B)/bin/headgate-control: $(B)/obj/controlplane/main.o \
		$(call lib,$(NEED_controlplane))
	$(call say,LINK,$@)
	$(call link,$<,controlplane)

$(B)/bin/headgate-agent: $(B)/obj/agent/main.o $(call lib,$(NEED_agent))
	$(call say,LINK,$@)
	$(call link,$<,agent)

$(B)/bin/headgate: $(B)/obj/cli/main.o $(call lib,$(NEED_cli))
	$(call say,LINK,$@)
	$(call link,$<,cli)

$(B)/bin/headgate-provider: $(B)/obj/tests/provider/main.o \
		$(call lib,$(NEED_provider))
	$(call say,LINK,$@)
	$(call link,$<,provider)

$(B)/bin/headgate-load: $(call obj,$(SRC_load)) $(call lib,$(NEED_load))
	$(call say,LINK,$@)
	$(call link,$(call obj,$(SRC_load)),load)

release: ## Build the programs with release flags into build/release
	$(Q)$(MAKE) --no-print-directory MODE=release B=build/release all

install: all ## Install the three programs under $(DESTDIR)$(PREFIX)/bin
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install -m 0755 $(PROGRAMS) '$(DESTDIR)$(PREFIX)/bin/'

clean: ## Remove this build folder ($(B))
	rm -rf '$(B)'

.PHONY: all release install clean
