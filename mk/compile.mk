# SPDX-License-Identifier: Apache-2.0
# From sources to libraries.

ALL_SRC := $(foreach a,$(AREAS),$(SRC_$(a))) $(SRC_provider) $(SRC_load) \
	$(SRC_sim) $(SRC_torture) $(SRC_allocs) \
	$(SRC_mkbpe) $(SRC_tokenize) $(SRC_unit) $(SRC_fuzz) \
	$(wildcard tests/fuzz/replay_main.c tests/bench/*_bench.c) \
	$(wildcard controlplane/main.c agent/main.c cli/main.c \
	tests/provider/main.c)
ALL_OBJ := $(call obj,$(ALL_SRC))

# Generated headers come first, for everything that may include them.
$(call obj,$(filter proto/% controlplane/% agent/% tests/%,$(ALL_SRC))): \
	| $(GEN_PROTO_H)

$(B)/obj/%.o: %.c $(FLAGS_FILE)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CCACHE) $(CC) $(CPPFLAGS_ALL) $(WARN) $(CFLAGS_ALL) $(BANNED) \
	    -MMD -MP -MF $(@:.o=.d) -c -o $@ $<
-include $(ALL_OBJ:.o=.d)

# The list of members is an input: a removed source leaves the library.
$(B)/lib/%.members: FORCE
	@mkdir -p $(@D)
	@echo '$(LIBOBJ_$*)' | cmp -s - $@ || echo '$(LIBOBJ_$*)' >$@

LIBOBJ_common := $(call obj,$(SRC_common))
LIBOBJ_proto := $(call obj,$(SRC_proto)) $(GEN_PROTO_O)
LIBOBJ_controlplane := $(call obj,$(SRC_controlplane)) $(GEN_EMBED_O)
LIBOBJ_agent := $(call obj,$(SRC_agent))
LIBOBJ_cli := $(call obj,$(SRC_cli))
LIBOBJ_provider := $(call obj,$(SRC_provider))

define library
$$(B)/lib/lib$(1).a: $$(LIBOBJ_$(1)) $$(B)/lib/$(1).members
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $$(AR) rcsD $$@ $$(LIBOBJ_$(1))
lib$(1): $$(B)/lib/lib$(1).a
.PHONY: lib$(1)
endef
$(foreach l,$(AREAS) provider,$(eval $(call library,$(l))))
