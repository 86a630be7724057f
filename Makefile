# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Thin fronts: each calls one script of tools/, which installs what is missing (Debian), configures, builds and runs.

.PHONY: help demo build test test-full soak bench format clean

help:
	@echo "make demo        drive the split network over a bad link; DRIVE_FRAMES=1200, TRACE=file.csv"
	@echo "make test        all but the slowest tests with g++, a handful with clang and sanitizers, fuzzing; up to 25 minutes on 2 cores"
	@echo "make test-full   every test with both compilers, sanitizers, bare and AArch64; about an hour"
	@echo "make soak        a million simulated frames for each kind of fault; SOAK_FRAMES=n"
	@echo "make bench       all benchmarks, JSON in out/bench"
	@echo "make build       tests, examples and benchmarks into build/release"
	@echo "make format      clang-format over the sources"
	@echo "make clean       removes build/ and out/"

demo:
	@tools/run_demo.sh

build:
	@tools/install_dependencies.sh test
	@tools/build_preset.sh release

test:
	@tools/run_tests.sh test

test-full:
	@tools/run_tests.sh full

soak:
	@tools/run_soak.sh

bench:
	@tools/run_benchmarks.sh

format:
	@git ls-files -co --exclude-standard '*.hpp' '*.cpp' | xargs clang-format -i

clean:
	@rm -rf build out
