"""What the experiments of the documentation consist of; `tools/experiment.py` runs them."""
