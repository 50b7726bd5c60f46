"""Batch augmentations for mmpretrain.

Its registry of them has no root that other packages could join without importing mmpretrain, so a
config names the full path: ``type="mmsmlp.datasets.transforms.MultiResolution"``.
"""

from .multi_resolution import MultiResolution

__all__ = ["MultiResolution"]
