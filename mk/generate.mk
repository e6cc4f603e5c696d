# SPDX-License-Identifier: Apache-2.0
# Generated C: protobuf messages, embedded SQL migrations, embedded OpenAPI.

GEN_PROTO_C := $(PROTOS:%.proto=$(B)/gen/%.pb-c.c)
GEN_PROTO_H := $(PROTOS:%.proto=$(B)/gen/%.pb-c.h)
GEN_PROTO_O := $(GEN_PROTO_C:.c=.o)
GEN_EMBED_C := $(B)/gen/schema_embedded.c $(B)/gen/openapi_embedded.c
GEN_EMBED_O := $(GEN_EMBED_C:.c=.o)

# Its macros cast const away: a system header's warnings are not ours.
$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h &: %.proto mk/generate.mk
	$(call say,PROTOC,$<)
	$(Q)mkdir -p $(B)/gen
	$(Q)$(PROTOC_C) --proto_path=. --c_out=$(B)/gen $<
	$(Q)sed -i '1i #pragma GCC system_header' $(B)/gen/$*.pb-c.h

# The list of files is an input too: it changes when one is removed.
$(B)/gen/.schemas: FORCE
	@mkdir -p $(@D)
	@echo '$(SCHEMAS) $(OPENAPI)' | cmp -s - $@ || \
	    echo '$(SCHEMAS) $(OPENAPI)' >$@

$(B)/gen/schema_embedded.c: mk/embed-schema.sh $(SCHEMAS) $(B)/gen/.schemas
	$(call say,EMBED,schema/)
	$(Q)sh mk/embed-schema.sh $(SCHEMAS) >$@

$(B)/gen/openapi_embedded.c: mk/embed-text.sh $(OPENAPI) $(B)/gen/.schemas
	$(call say,EMBED,$(or $(OPENAPI),(no docs/openapi.json)))
	$(Q)sh mk/embed-text.sh controlplane/rest/openapi_embedded.h \
	    openapi_json $(OPENAPI) >$@

$(GEN_PROTO_O) $(GEN_EMBED_O): %.o: %.c $(FLAGS_FILE)
	$(call say,CC,$<)
	$(Q)$(CCACHE) $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -w -MMD -MP -c -o $@ $<
-include $(GEN_PROTO_O:.o=.d) $(GEN_EMBED_O:.o=.d)
