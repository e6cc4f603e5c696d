# SPDX-License-Identifier: Apache-2.0
#
# The one Makefile of Headgate; it is not recursive. Sources are found by
# wildcard, so adding a file needs no change here. `make help` lists targets.
#
#   MODE=dev|release|asan|tsan|fuzz   how to compile (default: dev)
#   B=build/...                       where to build (default: build/$(MODE))
#   T=area/test_x C=case              narrows `make check`
#   CC=..., LTO=1, V=1                compiler, link-time optimisation, echo

MODE ?= dev
B ?= build/$(MODE)
DESTDIR ?=
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
T ?=
C ?=

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
SHELL := /bin/sh

ifeq ($(V),1)
Q :=
else
Q := @
endif
say = $(if $(Q),@printf '  %-8s %s\n' '$(1)' '$(2)')

# Variables that only the makefiles of mk/ set: flags and lists of files.
include mk/flags.mk
include mk/sources.mk
include mk/generate.mk
include mk/compile.mk
include mk/programs.mk
include mk/tests.mk
include mk/project.mk

help: ## Say what the targets do
	@awk 'BEGIN { FS = ":.*## " } \
	/^##@ / { printf "\n%s\n", substr($$0, 5); next } \
	/^[a-z][a-z0-9_-]*:.*## / { printf "  %-14s %s\n", $$1, $$2 }' \
	    Makefile mk/programs.mk mk/tests.mk mk/project.mk | \
	    $(if $(RELIABILITY),cat,grep -v "^  reliability ")
	@printf '\nMODE=%s B=%s CC=%s\n' '$(MODE)' '$(B)' '$(CC)'

.PHONY: help FORCE
FORCE:
