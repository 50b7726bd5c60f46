"""The necks, registered in ``mmsmlp.registry.MODELS``."""

from .global_average_pooling import GlobalAveragePooling
from .simple_feature_pyramid import SimpleFeaturePyramid

__all__ = ["GlobalAveragePooling", "SimpleFeaturePyramid"]
