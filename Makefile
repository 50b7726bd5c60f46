# `make train` and `make test` on a fresh machine; `make help` lists the rest.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help env train pretrain test test-all test-kill test-upstream test-theirs fuzz docs mutants lint format clean

# The first of these that the pinned environment takes.
SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(SUITS)' 2>/dev/null && echo $$python && exit; done; echo python3)
VENV_PYTHON := .venv/bin/python

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

env: ## Prepare .venv, unless it is ready. OPERATORS=compiled compiles mmcv's operators
	@command -v $(PYTHON) >/dev/null || \
		{ echo "setup: $(PYTHON) is missing (apt install python3 python3-venv)" >&2; exit 1; }
	@OPERATORS=$(OPERATORS) $(PYTHON) tools/dev/setup_env.py

train: env ## Train Mask R-CNN with sMLPNet-T on the mini data set; resumes an interrupted run
	$(VENV_PYTHON) tools/train.py configs/mask_rcnn_smlpnet_t.py --mini --resume

# Initial weights of a dense model, after the classifier is trained.
PRETRAINED = model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.prefix=backbone. \
	model.backbone.init_cfg.checkpoint=$$(cat work_dirs/smlpnet_t_in1k_mini/last_checkpoint)

pretrain: env ## Pretrain sMLPNet-T on the mini data set, then train Mask R-CNN and UperNet from it
	$(VENV_PYTHON) tools/train.py configs/smlpnet_t_in1k.py --mini --resume
	$(VENV_PYTHON) tools/train.py configs/mask_rcnn_smlpnet_t.py --mini --resume \
		--work-dir work_dirs/mask_rcnn_smlpnet_t_mini_pretrained --cfg-options $(PRETRAINED)
	$(VENV_PYTHON) tools/train.py configs/upernet_smlpnet_t.py --mini --resume \
		--work-dir work_dirs/upernet_smlpnet_t_mini_pretrained --cfg-options $(PRETRAINED)

# Side by side with a thread each; a file stays together, for its fixtures are made once.
PYTEST := -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile
test test-all test-kill test-upstream fuzz: export OMP_NUM_THREADS = 1

test: env ## Run the tests, except long ones
	$(VENV_PYTHON) $(PYTEST)

# With `make test`, this runs every test once.
test-all: env ## Run the tests that `make test` skips, and a long fuzzing
	$(VENV_PYTHON) $(PYTEST) -m long --timeout 1800
	$(VENV_PYTHON) $(PYTEST) tests/fuzz -m '' --hypothesis-profile fuzz --timeout 3600

test-kill: env ## Kill a training at 20 random moments, and compare it with an uninterrupted one
	MMSMLP_KILLS=20 $(VENV_PYTHON) -m pytest tests/tools/test_kill.py -m long --timeout 3600

fuzz: env ## Try thousands of odd settings, images, checkpoints and configs; others each time
	$(VENV_PYTHON) -m pytest tests/fuzz -m '' --hypothesis-profile fuzz --hypothesis-show-statistics \
		--timeout 3600

test-theirs: env ## Run the libraries' own tests on our backbones: MMDET=… MMSEG=… MMPRETRAIN=… (checkouts)
	$(VENV_PYTHON) tools/dev/theirs.py $(if $(MMDET),--mmdet $(MMDET)) \
		$(if $(MMSEG),--mmseg $(MMSEG)) $(if $(MMPRETRAIN),--mmpretrain $(MMPRETRAIN))

mutants: env ## Break the package in many ways, one at a time, and list the changes that no test notices
	$(VENV_PYTHON) tools/dev/mutants.py

# OpenMMLab's own releases want torch 2.1, which wants Python 3.10.
UPSTREAM_PYTHON ?= python3.10
UPSTREAM := .venv-upstream
UPSTREAM_PIP = $(UPSTREAM)/bin/python -m pip install
UPSTREAM_PINS := requirements/upstream-constraints.txt
UPSTREAM_FILES := $(foreach name,runtime dev upstream,requirements/$(name).txt)

test-upstream: $(UPSTREAM)/ready ## Run all tests with OpenMMLab's own releases, in .venv-upstream
	$(UPSTREAM)/bin/python $(PYTEST) -m '' --timeout 1800

$(UPSTREAM)/ready: $(UPSTREAM_PINS) $(UPSTREAM_FILES) pyproject.toml setup.py
	@$(UPSTREAM_PYTHON) -c '' || { echo "Python 3.10 is missing; name one:" \
		"make test-upstream UPSTREAM_PYTHON=/path/to/python3.10" >&2; exit 1; }
	$(UPSTREAM_PYTHON) -m venv --clear $(UPSTREAM)
	$(UPSTREAM_PIP) -U pip
	$(UPSTREAM_PIP) -c $(UPSTREAM_PINS) setuptools wheel
	$(UPSTREAM_PIP) -c $(UPSTREAM_PINS) --no-build-isolation $(UPSTREAM_FILES:%=-r %)
	$(UPSTREAM_PIP) -r requirements/build.txt
	$(UPSTREAM_PIP) --no-deps --no-build-isolation -e .
	touch $@

# It reads the package's source without importing it, so it needs no torch.
DOCS := .venv-docs

docs: $(DOCS)/ready ## Build the documentation into build/site; warnings and dead links are errors
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/python -m mkdocs build --strict

$(DOCS)/ready: requirements/docs.txt requirements/constraints.txt
	$(PYTHON) -m venv --clear $(DOCS)
	$(DOCS)/bin/python -m pip install -q -c requirements/constraints.txt -r requirements/docs.txt
	touch $@

lint: env ## Check style
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .

format: env ## Fix style
	$(VENV_PYTHON) -m ruff check --fix .
	$(VENV_PYTHON) -m ruff format .

clean: ## Remove files of builds and tests; keeps .venv, data and trained models
	rm -rf build dist *.egg-info .hypothesis .pytest_cache .ruff_cache
	rm -rf requirements/opencv-stand-in/build requirements/opencv-stand-in/*.egg-info
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
