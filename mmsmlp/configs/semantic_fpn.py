"""`configs/_base_/semantic_fpn.py`, for configs in pure Python."""

globals().update(__import__("mmsmlp.catalogue").catalogue.base_settings(__file__))
