"""`configs/_base_/retinanet_coco_1x.py`, for configs in pure Python."""

globals().update(__import__("mmsmlp.model_zoo").catalogue.base_settings(__file__))
