"""Experiments of the documentation; `tools/dev/experiment.py` runs them."""
