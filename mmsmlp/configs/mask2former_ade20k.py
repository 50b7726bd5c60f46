"""`configs/_base_/mask2former_ade20k.py`, for configs in pure Python."""

globals().update(__import__("mmsmlp.model_zoo").catalogue.base_settings(__file__))
