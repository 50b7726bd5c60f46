"""Data sets: the built-in one, custom ones, and transforms."""
