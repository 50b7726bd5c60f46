"""`configs/_base_/smlpnet_s.py`, for configs in pure Python."""

globals().update(__import__("mmsmlp.catalogue").catalogue.base_settings(__file__))
