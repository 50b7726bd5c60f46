"""`configs/_base_/smlpnet_t.py`, for configs in pure Python."""

globals().update(__import__("mmsmlp.recipes").recipes.base_settings(__file__))
