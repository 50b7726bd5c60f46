"""`configs/_base_/semantic_fpn.py`, for configs in pure Python."""

globals().update(__import__("mmsmlp.model_zoo").catalogue.base_settings(__file__))
