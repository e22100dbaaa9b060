# Every word makes the virtual environment that it needs. PYTHON and VENV choose another interpreter and folder:
#   make test PYTHON=python3.12 VENV=.venv-3.12 ARGS="tests/unit -k settings"

SUPPORTED := 3.11 3.12 3.13
IN_RANGE := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))

ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c '$(IN_RANGE)' 2>/dev/null && { echo "$$p"; break; }; done)
endif
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
ifeq ($(filter $(VERSION),$(SUPPORTED)),)
$(error blockcache needs one of Python $(SUPPORTED); name one: make PYTHON=/path/to/python3.12 ...)
endif

VENV ?= .venv
BIN := $(VENV)/bin
# The version is in the stamps' names: another PYTHON in the same folder starts it anew.
DEV := $(VENV)/.dev-$(VERSION)
DEMO := .venv-demo/.demo-$(VERSION)
BARE := .venv-bare/.bare-$(VERSION)
ARGS ?=

SHELL := bash
.PHONY: demo test test-all install install-all lint types bench mutation faithful crash check clean

demo: $(DEMO)
	.venv-demo/bin/blockcache demo $(ARGS)

test: $(DEV)
	$(BIN)/python -m pytest -n auto $(ARGS)

# Each supported Python that is on this machine, by name or from pyenv; at least one, as lines of its version, path and folder.
define pythons
for version in $(SUPPORTED); do \
	for p in python$$version $$HOME/.pyenv/versions/$$version.*/bin/python; do \
		if "$$p" -c "import sys; sys.exit(sys.version_info[:2] != tuple(map(int, '$$version'.split('.'))))" 2>/dev/null; then \
			folder=.venv-$$version; if [ "$$version" = "$(VERSION)" ]; then folder=$(VENV); fi; \
			echo "$$version $$p $$folder"; break; \
		fi; \
	done; \
done
endef

# All but what depends on the interpreter itself is shared out: each test runs on one of them. SHARED= runs all on all; with
# more SHARES than Pythons some are left out; FIRST tells which run.
SHARED ?= 1
SHARES ?= 0
FIRST ?= 0
test-all: install-all
	@found=$$($(pythons)); [ -n "$$found" ] || exit 1; number=$(FIRST); \
	of=$$(echo "$$found" | wc -l); if [ $(SHARES) -gt $$of ]; then of=$(SHARES); fi; \
	while read -r version p folder <&3; do \
		echo "== Python $$version: $$p"; \
		number=$$((number + 1)); share=; if [ -n "$(SHARED)" ]; then share="$$number/$$of"; fi; \
		TESTS_SHARE="$$share" $(MAKE) --no-print-directory test PYTHON="$$p" VENV="$$folder" || exit 1; \
	done 3<<< "$$found"; \
	echo "== tested on"; echo "$$found"

# Side by side: making a virtual environment keeps one processor busy.
install-all:
	@waited=; while read -r version p folder <&3; do \
		$(MAKE) --no-print-directory install PYTHON="$$p" VENV="$$folder" & waited="$$waited $$!"; \
	done 3<<< "$$($(pythons))"; \
	for job in $$waited; do wait $$job || exit 1; done

install: $(DEV)

lint: $(DEV) $(BARE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	@# Without any extra, every room imports but those that are reached only where their library is already running.
	.venv-bare/bin/python -c "import blockcache, importlib, pkgutil; \
	[importlib.import_module(m.name) for m in pkgutil.walk_packages(blockcache.__path__, 'blockcache.') \
	if not m.name.startswith(('blockcache.types.', 'blockcache.hosts.', 'blockcache._demo', 'blockcache.magic', 'blockcache.marimo'))]"

types: $(DEV)
	$(BIN)/mypy

bench: $(DEV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	@missed=0; for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python "$$file" $(ARGS) || missed=1; done; exit $$missed

# 500 telling and 500 cosmetic edits of public example scripts, which pip fetches; about half an hour.
mutation: $(DEV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[mutation]"
	$(BIN)/python tests/mutation/harness.py --seed 1 --edits 500 --cosmetic 500 --scripts 40 --jobs 2 $(ARGS)

# 130 public example scripts plain, cold and warm; pip fetches them (it builds scikit-learn to do so: minutes, once), then half an hour.
faithful: $(DEV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[mutation]"
	$(BIN)/python tests/mutation/faithful.py --scripts 130 --jobs 2 $(ARGS)

# A thousand kills at random instants, and each system call of a block failing with each error that it can have; up to half an hour.
crash: $(DEV)
	CRASH_POINTS=1000 $(BIN)/python -m pytest -n auto tests/stores/test_faults.py $(ARGS)

check: lint types test

clean:
	rm -rf .venv .venv-* dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find src tests benchmarks notebooks -name __pycache__ -type d -prune -exec rm -rf {} +

# A folder with another Python in it starts anew; a change of pyproject.toml installs what is new.
%/.python-$(VERSION):
	$(PYTHON) -m venv --clear $*
	@touch $@

# $(call install,FOLDER,WHAT)
define install
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check -e "$(2)"
	@touch $@
endef

$(DEV): pyproject.toml | $(VENV)/.python-$(VERSION)
	$(call install,$(VENV),.[dev])

$(DEMO): pyproject.toml | .venv-demo/.python-$(VERSION)
	$(call install,.venv-demo,.[demo])

$(BARE): pyproject.toml | .venv-bare/.python-$(VERSION)
	$(call install,.venv-bare,.)
