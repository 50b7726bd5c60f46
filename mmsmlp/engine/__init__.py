"""Training: hooks, optimisation, and the start of a run."""
