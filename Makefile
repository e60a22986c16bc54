# Two commands: `make demo` and `make test`. Each installs what is missing, builds, and runs.
# The rest: setup, bench, gallery, lint, format, sanitize, clean.

PYTHON ?= python3
BIN := .venv/bin
CORE := $(wildcard csrc/*/*.[ch])
LIB_SOURCES := $(wildcard csrc/base/*.c csrc/laws/*.c)
C_TESTS := $(wildcard tests/c/*.c)
C_DEPS := $(CORE) $(wildcard tests/c/*.[ch])
GSL_FLAGS = $(shell pkg-config --cflags --libs gsl 2>/dev/null || gsl-config --cflags --libs 2>/dev/null)
ifdef DELPHI_GSL_PREFIX
GSL_FLAGS = -I$(DELPHI_GSL_PREFIX)/include -L$(DELPHI_GSL_PREFIX)/lib \
	-Wl,-rpath,$(DELPHI_GSL_PREFIX)/lib -lgsl -lgslcblas -lm
endif
C_FLAGS := -std=c11 -g -ffp-contract=off -fno-math-errno -Wno-psabi -Wall -Wextra -Wconversion -Wshadow \
	-Wstrict-prototypes -Wvla -Werror -Icsrc -pthread
ASAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DDPH_SANITIZED

.PHONY: demo test setup bench gallery lint format sanitize clean
.DELETE_ON_ERROR:

demo: setup
	$(BIN)/delphi demo -o demo

# lifelines, a peer that tests compare with, holds pandas below 3: it comes without its dependencies.
test: setup build/ctest
	PYTHON=$(PYTHON) tools/system-packages.sh page
	$(BIN)/python -m pip install -q --no-deps lifelines autograd autograd-gamma formulaic interface-meta wrapt
	build/ctest
	$(BIN)/python -m pytest -n auto --dist loadfile

setup: .venv/.built

.venv/.deps: pyproject.toml tools/system-packages.sh
	PYTHON=$(PYTHON) tools/system-packages.sh build
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade pip setuptools wheel numpy
	touch $@

.venv/.built: .venv/.deps setup.py MANIFEST.in delphi/_version.py $(CORE)
	$(BIN)/python -m pip install -q --no-build-isolation -e '.[all]'
	touch $@

bench: setup
	$(BIN)/python -m benchmarks

# Pictures of every figure, wide and narrow, for docs/gallery.
gallery: setup
	PYTHON=$(PYTHON) tools/system-packages.sh page
	$(BIN)/python tools/gallery.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CORE) $(wildcard tests/c/*.[ch])

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CORE) $(wildcard tests/c/*.[ch])

# The C unit tests under ASan, UBSan and valgrind, the low-level Python tests under ASan and UBSan.
# Leaks of the interpreter itself are not ours: leak detection is on for the C tests only.
# Valgrind does not know every vector instruction, so it gets the build without cloned loops.
sanitize: setup build/ctest-asan build/ctest-valgrind
	PYTHON=$(PYTHON) tools/system-packages.sh valgrind
	ASAN_OPTIONS=detect_leaks=1 build/ctest-asan
	DPH_TEST_LIGHT=1 valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=all build/ctest-valgrind
	DELPHI_SANITIZE=1 $(BIN)/python setup.py -q build --build-base build/asan --build-lib build/asan/lib
	$(call under_asan) $(BIN)/python -c "import delphi._core as c; assert 'asan' in c.__file__, c"
	$(call under_asan) $(BIN)/pytest -q -p no:cacheprovider -o pythonpath= tests/test_core_*.py

under_asan = PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/build/asan/lib:$(CURDIR) PYTHONMALLOC=malloc \
	LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0

build/ctest: .venv/.deps $(C_DEPS)
	mkdir -p build
	$(CC) $(C_FLAGS) -O3 $(LIB_SOURCES) $(C_TESTS) $(GSL_FLAGS) -lm -o $@

build/ctest-asan: .venv/.deps $(C_DEPS)
	mkdir -p build
	$(CC) $(C_FLAGS) -O1 $(ASAN) $(LIB_SOURCES) $(C_TESTS) $(GSL_FLAGS) -lm -o $@

build/ctest-valgrind: .venv/.deps $(C_DEPS)
	mkdir -p build
	$(CC) $(C_FLAGS) -O1 -DDPH_SANITIZED $(LIB_SOURCES) $(C_TESTS) $(GSL_FLAGS) -lm -o $@

clean:
	rm -rf build .venv demo out delphi/*.so *.egg-info
