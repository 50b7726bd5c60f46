"""The necks, registered in ``mmsmlp.registry.MODELS``."""

import logging

from mmengine.logging import print_log
from torch import nn

from mmsmlp.registry import MODELS

from .simple_feature_pyramid import SimpleFeaturePyramid

__all__ = ["SimpleFeaturePyramid"]


@MODELS.register_module()
def GlobalAveragePooling(**kwargs: int) -> nn.Module:
    """mmpretrain's neck, by the name of a former one of this package; kept for one release."""
    print_log(
        "mmsmlp.GlobalAveragePooling is now mmpretrain's GlobalAveragePooling; the old name will "
        "be refused",
        logger="current",
        level=logging.WARNING,
    )
    return MODELS.build(dict(type="mmpretrain.GlobalAveragePooling", **kwargs))
