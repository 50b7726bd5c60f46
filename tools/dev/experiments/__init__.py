"""What the experiments of the documentation consist of; `tools/dev/experiment.py` runs them."""
