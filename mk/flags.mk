# SPDX-License-Identifier: Apache-2.0
# Compiler, warnings and the flags of each MODE.

ifeq ($(origin CC),default)
CC := $(if $(filter fuzz,$(MODE)),clang,gcc)
endif
AR ?= ar
PROTOC_C ?= protoc-c
CCACHE ?= $(shell command -v ccache 2>/dev/null)
ARCH := $(shell uname -m)
IS_CLANG := $(findstring clang,$(notdir $(CC)))

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wvla -Wundef -Wformat=2 \
	-Wwrite-strings -Wcast-qual -Wpointer-arith -Wimplicit-fallthrough \
	-Wnull-dereference -Wdate-time
ifeq ($(IS_CLANG),)
WARN += -Werror -Wduplicated-cond -Wduplicated-branches -Wlogical-op \
	-Wformat-signedness -Wcast-align=strict
endif

HARDEN := -D_FORTIFY_SOURCE=3 -fstack-protector-strong \
	-fstack-clash-protection -fPIE
ifeq ($(ARCH),x86_64)
HARDEN += -fcf-protection
endif
ifeq ($(ARCH),aarch64)
HARDEN += -mbranch-protection=standard
endif
HARDEN_LD := -pie -Wl,-z,relro,-z,now,-z,noexecstack
SAN := address,undefined

ifeq ($(MODE),dev)
MODE_CFLAGS := -O1 -g $(HARDEN)
MODE_LDFLAGS := $(HARDEN_LD)
else ifeq ($(MODE),release)
MODE_CFLAGS := -O2 -g $(HARDEN) -ffile-prefix-map=$(CURDIR)/=
MODE_LDFLAGS := $(HARDEN_LD) -O2
ifeq ($(LTO),1)
MODE_CFLAGS += -flto=auto -ffat-lto-objects
MODE_LDFLAGS += -flto=auto
endif
else ifeq ($(MODE),asan)
MODE_CFLAGS := -O1 -g3 -fno-omit-frame-pointer -fsanitize=$(SAN) \
	-fno-sanitize-recover=all -DHEADGATE_SANITIZED=1
MODE_LDFLAGS := -fsanitize=$(SAN)
else ifeq ($(MODE),tsan)
MODE_CFLAGS := -O1 -g3 -fsanitize=thread -DHEADGATE_SANITIZED=1
MODE_LDFLAGS := -fsanitize=thread
else ifeq ($(MODE),fuzz)
MODE_CFLAGS := -O1 -g3 -fno-omit-frame-pointer \
	-fsanitize=fuzzer-no-link,$(SAN) -fno-sanitize-recover=all \
	-DHEADGATE_SANITIZED=1 -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION=1
MODE_LDFLAGS := -fsanitize=$(SAN)
else
$(error MODE=$(MODE): use dev, release, asan, tsan or fuzz)
endif

CPPFLAGS_ALL := -I. -I$(B)/gen -I/usr/include/postgresql -D_GNU_SOURCE= \
	$(CPPFLAGS)
CFLAGS_ALL := -std=gnu17 -pthread -fno-common $(MODE_CFLAGS) $(CFLAGS)
LDFLAGS_ALL := -pthread -rdynamic -Wl,--as-needed $(MODE_LDFLAGS) $(LDFLAGS)
BANNED := -include common/banned.h

# Objects depend on this file, which changes only when the flags do.
FLAGS_FILE := $(B)/.flags
FLAGS_TEXT := $(CC) $(WARN) $(CPPFLAGS_ALL) $(CFLAGS_ALL) | $(LDFLAGS_ALL)
$(FLAGS_FILE): FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS_TEXT)' | cmp -s - $@ || echo '$(FLAGS_TEXT)' >$@
