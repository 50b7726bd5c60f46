"""`configs/_base_/s2mlpv2_s4.py`, for configs in pure Python."""

globals().update(__import__("mmsmlp.model_zoo").catalogue.base_settings(__file__))
