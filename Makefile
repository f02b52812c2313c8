# SPDX-License-Identifier: MIT
# The front door: `make run` talks to a model, `make check` proves everything.  The build itself
# is CMake's; this file only chooses the folder, the generator and the number of jobs.
#
#   make                    build/mote and the libraries
#   make run [MODEL=...] [PROMPT="..."]   a chat, or one answer
#   make check              every test
#   make asan ubsan tsan    the unit and kernel tests under a sanitizer
#   make fuzz fuzz-long     the fuzz targets, for minutes or for hours
#   make conform bench      live comparison with other implementations: answers, speed
#   make bench-scaling      time per token against context, sessions and model size
#   make lint               house rules; exported symbols
#   make install [PREFIX=/usr/local] [DESTDIR=...]
#   make clean              removes build/
.NOTPARALLEL:
.DEFAULT_GOAL := all
.PHONY: all build needs run check check-kernels asan ubsan tsan fuzz fuzz-long conform bench bench-scaling lint install clean help

JOBS   ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
PREFIX ?= /usr/local
CMAKE_FLAGS ?=
FUZZ_SECONDS ?= 60
ARGS ?=
MODEL  ?=
PROMPT ?=

generator := $(if $(shell command -v ninja 2>/dev/null),-G Ninja)
cmake     := env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS cmake
# $(call tree,FOLDER,FLAGS) configures a build tree once, or again when it gets flags.
tree = if [ ! -f $(1)/CMakeCache.txt ]; then $(cmake) -S . -B $(1) $(generator) $(2) $(CMAKE_FLAGS); \
       elif [ -n "$(strip $(2) $(CMAKE_FLAGS))" ]; then $(cmake) -S . -B $(1) $(2) $(CMAKE_FLAGS); fi > $(1)/configure.log 2>&1 \
       || { cat $(1)/configure.log; exit 1; }
compile = $(cmake) --build $(1) -j $(JOBS)

all: needs build

needs:
	@tools/bootstrap --check build

build:
	@mkdir -p build
	@test -f build/CMakeCache.txt || { $(call tree,build,-DMOTE_TESTS=OFF); }
	@$(call compile,build) --target mote_program

# What the person typed reaches the program untouched: through the environment, never as a word
# of the recipe.  In a terminal the program gets a process group of its own, so that Ctrl-C stops
# an answer and not make.
run: export MOTE_RUN_MODEL := $(value MODEL)
run: export MOTE_RUN_PROMPT := $(value PROMPT)
run:
	@tools/bootstrap run >&2
	@if [ -x build/mote ]; then $(MAKE) --no-print-directory build >build/build.log 2>&1 || { cat build/build.log >&2; exit 1; }; \
	else $(MAKE) --no-print-directory build >&2; fi
	@tools/run

check:
	@tools/bootstrap test
	@mkdir -p build
	@$(call tree,build,-DMOTE_TESTS=ON)
	@$(call compile,build)
	@tools/check --build build --jobs $(JOBS)

check-kernels:
	@tools/bootstrap test
	@mkdir -p build
	@$(call tree,build,-DMOTE_TESTS=ON)
	@$(call compile,build) --target check_kernels
	@build/check_kernels

sanitized = mkdir -p build/$(1) && { $(call tree,build/$(1),-DMOTE_TESTS=ON -DCMAKE_BUILD_TYPE=Debug -DMOTE_SANITIZE=$(2)); } \
	&& $(call compile,build/$(1)) && tools/check --build build/$(1) --jobs $(JOBS) --only unit,kernels

asan:
	@tools/bootstrap test
	@$(call sanitized,asan,address)
ubsan:
	@tools/bootstrap test
	@$(call sanitized,ubsan,undefined)
tsan:
	@tools/bootstrap test
	@$(call sanitized,tsan,thread)

fuzz:
	@tools/bootstrap ci
	@tools/fuzz --jobs $(JOBS) --seconds $(FUZZ_SECONDS)
fuzz-long:
	@tools/bootstrap ci
	@tools/fuzz --jobs $(JOBS) --seconds 7200

# Other engines come into Python environments of their own; ARGS reaches the script.
live = tools/bootstrap test && tools/venv --$(1) && model=$$(tools/venv --model) && \
	build/venv-$(1)/bin/python $(2) "$$model" $(ARGS)
conform: all
	@$(call live,conform,tests/conform/llama.py)
bench: all
	@$(call live,bench,bench/compare.py)
bench-scaling: all
	@$(call live,bench,bench/scaling.py)

lint: needs
	@tools/lint
	@$(MAKE) --no-print-directory build
	@tools/symbols build

install: all
	@$(cmake) --install build --prefix "$(abspath $(PREFIX))"

clean:
	rm -rf build

help:
	@sed -n '/^#   make/s/^#   //p' Makefile
