# SPDX-License-Identifier: Apache-2.0
# Which sources there are. Any area may be empty or missing.

find_files = $(sort $(shell find $(2) -name node_modules -prune -o \
	-name '$(1)' -not -path '*/.*' -print 2>/dev/null))
c_files = $(call find_files,*.c,$(1))
h_files = $(call find_files,*.h,$(1))
obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

AREAS := common proto controlplane agent cli

SRC_common := $(call c_files,common)
SRC_proto := $(call c_files,proto)
SRC_controlplane := $(filter-out controlplane/main.c,$(call c_files,controlplane))
SRC_mkbpe := agent/tokenizer/mkbpe.c
SRC_tokenize := tests/tools/tokenize.c
SRC_agent := $(filter-out agent/main.c $(SRC_mkbpe),$(call c_files,agent))
SRC_cli := $(filter-out cli/main.c,$(call c_files,cli))
SRC_provider := $(filter-out tests/provider/main.c,$(call c_files,tests/provider))
SRC_load := $(call c_files,tests/bench/load)
SRC_sim := $(call c_files,tests/sim)
SRC_torture := $(wildcard tests/reliability/*.c)
SRC_allocs := $(wildcard tests/reliability/alloc/*.c)
SRC_fuzz := $(sort $(wildcard tests/fuzz/fuzz_*.c))
SRC_unit := $(call c_files,tests/unit)
HEADERS := $(call h_files,$(AREAS) tests)

PROTOS := $(sort $(wildcard proto/*.proto))
SCHEMAS := $(sort $(wildcard schema/[0-9]*_*.sql))
OPENAPI := $(wildcard docs/openapi.json)

# What each area links with: our libraries, then foreign ones.
NEED_common := common
NEED_proto := proto common
NEED_controlplane := controlplane proto common
NEED_agent := agent proto common
NEED_cli := cli common
NEED_provider := provider common
NEED_load := common
NEED_sim := controlplane agent proto common
NEED_money := controlplane agent proto common
NEED_system := $(NEED_sim)
NEED_torture := agent proto common
NEED_allocs_control := controlplane cli proto common
NEED_mkbpe := common
NEED_tokenize := agent proto common

LIBS_common := -lsodium -lm
LIBS_proto := -lnng -lprotobuf-c $(LIBS_common)
LIBS_controlplane := -lmicrohttpd -lpq -ljansson -lcurl -lssl -lcrypto \
	$(LIBS_proto)
LIBS_agent := -lmicrohttpd -lcurl -ljansson -lssl -lcrypto $(LIBS_proto)
LIBS_cli := -lcurl -ljansson -lyaml $(LIBS_common)
LIBS_provider := -ljansson -lssl -lcrypto $(LIBS_common)
LIBS_load := $(LIBS_common)
LIBS_sim := $(LIBS_agent) -Wl,--wrap=io_mkdirs
LIBS_torture := $(LIBS_sim)
LIBS_money := $(LIBS_agent)
LIBS_system := $(LIBS_controlplane)
LIBS_allocs_control := $(LIBS_controlplane) -lyaml
LIBS_mkbpe := $(LIBS_common)
LIBS_tokenize := $(LIBS_agent)
LIBS_check := -lcheck_pic -lsubunit -lrt -lm -ljansson
lib = $(patsubst %,$(B)/lib/lib%.a,$(1))
