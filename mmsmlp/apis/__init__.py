"""Functions that tools are made of."""
