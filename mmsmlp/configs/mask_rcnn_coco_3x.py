"""`configs/_base_/mask_rcnn_coco_3x.py`, for configs in pure Python."""

globals().update(__import__("mmsmlp.model_zoo").catalogue.base_settings(__file__))
