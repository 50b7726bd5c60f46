"""Parts of `tools/benchmark.py`: measurements and reports."""
