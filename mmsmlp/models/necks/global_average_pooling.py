"""The mean over an image in place of the mean over what it is padded to."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmsmlp.models.layers import is_recording
from mmsmlp.registry import MODELS


@MODELS.register_module()
class GlobalAveragePooling(BaseModule):
    """Global average pooling for batches of images of several sizes.

    The backbones of this package continue the map of a padded image with its last row and column.
    mmpretrain's pooling counts these as the image; this one leaves them out, so that an image has
    the logits that it has alone. A recorded graph (compiled, exported) counts the whole map.
    """

    def forward(self, inputs: Tensor | Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
        """(N, C, H, W), or several of them, -> (N, C) each."""
        if isinstance(inputs, Tensor):
            return image_mean(inputs)
        return tuple(map(image_mean, inputs))


def image_mean(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C), without rows and columns at the end that repeat the one before."""
    if is_recording():
        return x.mean(dim=(2, 3))
    same_row = (x[:, :, 1:] == x[:, :, :-1]).all(dim=3).all(dim=1)
    same_column = (x[..., 1:] == x[..., :-1]).all(dim=2).all(dim=1)
    rows, columns = _until_repeated(same_row), _until_repeated(same_column)
    inside = (rows[:, :, None] & columns[:, None]).flatten(1).to(x.dtype)
    # Weights in place of a division after: a sum may be too large for half precision.
    weights = inside / inside.sum(dim=1, keepdim=True)
    return (x.flatten(2) @ weights[..., None]).squeeze(-1)


def _until_repeated(same: Tensor) -> Tensor:
    """(N, L - 1), what repeats the one before, -> (N, L), all up to where nothing else follows."""
    new = (~same).flip(1).cumsum(dim=1).flip(1) > 0
    return F.pad(new, (1, 0), value=True)
