# `make train` and `make test` on a fresh machine; `make help` lists the rest.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help env train pretrain test lint format clean

# The pinned environment is for Python 3.11: take it by name where python3 is another version.
PYTHON ?= $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
VENV_PYTHON := .venv/bin/python

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

env: ## Prepare .venv; done in no time when it is ready
	@command -v $(PYTHON) >/dev/null || \
		{ echo "setup: $(PYTHON) is missing (apt install python3.11 python3.11-venv)" >&2; exit 1; }
	@$(PYTHON) tools/setup_env.py

train: env ## Train Mask R-CNN with sMLPNet-T on the mini data set; picks up where it stopped
	$(VENV_PYTHON) tools/train.py configs/mask_rcnn_smlpnet_t.py --mini --resume

# What a dense model starts from, once the classifier is trained.
PRETRAINED = model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.prefix=backbone. \
	model.backbone.init_cfg.checkpoint=$$(cat work_dirs/smlpnet_t_in1k_mini/last_checkpoint)

pretrain: env ## Pretrain sMLPNet-T on the mini data set, then train Mask R-CNN and UperNet from it
	$(VENV_PYTHON) tools/train.py configs/smlpnet_t_in1k.py --mini --resume
	$(VENV_PYTHON) tools/train.py configs/mask_rcnn_smlpnet_t.py --mini --resume \
		--work-dir work_dirs/mask_rcnn_smlpnet_t_mini_pretrained --cfg-options $(PRETRAINED)
	$(VENV_PYTHON) tools/train.py configs/upernet_smlpnet_t.py --mini --resume \
		--work-dir work_dirs/upernet_smlpnet_t_mini_pretrained --cfg-options $(PRETRAINED)

test: env ## Run all tests
	$(VENV_PYTHON) -m pytest

lint: env ## Check style
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .

format: env ## Mend style
	$(VENV_PYTHON) -m ruff check --fix .
	$(VENV_PYTHON) -m ruff format .

clean: ## Remove what building and testing left; keeps .venv, data and trained models
	rm -rf build dist *.egg-info .hypothesis .pytest_cache .ruff_cache
	rm -rf requirements/opencv-stand-in/build requirements/opencv-stand-in/*.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
