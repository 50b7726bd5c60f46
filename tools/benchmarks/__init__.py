"""What `tools/benchmark.py` consists of: how networks are measured, and what is told of it."""
