"""`configs/_base_/upernet.py`, for configs in pure Python."""

globals().update(__import__("mmsmlp.model_zoo").catalogue.base_settings(__file__))
