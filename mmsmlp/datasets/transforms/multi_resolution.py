"""Training at several resolutions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from mmpretrain.models import RandomBatchAugment
from torch import Tensor


class MultiResolution:
    """Resizes each batch to a random size, for mmpretrain's ``batch_augments``.

    A network whose maps and norms have met one size only is tied to it; this shows it many. The
    images are resized bilinearly, anti-aliased when they shrink, and mixed (MixUp, CutMix) after
    that. The size comes from numpy's global generator, as mmpretrain's own augmentations do: it
    repeats under a seed. The ranks of a distributed job draw equal sizes, which keeps their load
    equal, and each its own with ``randomness=dict(diff_rank_seed=True)``.

    Args:
        sizes: Sides in pixels to draw from. A repeated size is drawn more often.
        square: Whether one draw is for both sides; else height and width are drawn independently.
        augments: Mixing of the resized batch, as :class:`mmpretrain.models.RandomBatchAugment`
            takes it: one config or several to choose from; nothing if not given.
        probs: Probabilities of ``augments``.

    Raises:
        ValueError: If ``sizes`` is empty or has a value that is no integer from 1 on.

    Examples:
        >>> train_cfg = dict(
        ...     augments=dict(
        ...         type="mmsmlp.datasets.transforms.MultiResolution",
        ...         sizes=[160, 192, 224, 256, 288],
        ...         augments=[dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)],
        ...     )
        ... )
    """

    def __init__(
        self,
        sizes: Sequence[int],
        square: bool = True,
        augments: dict | Sequence[dict] = (),
        probs: Sequence[float] | None = None,
    ) -> None:
        if not sizes or not all(isinstance(size, int) and size >= 1 for size in sizes):
            raise ValueError(f"sizes must be one or more sides of at least 1 pixel, got {sizes}")
        self.sizes = sizes
        self.square = square
        self.mix = RandomBatchAugment(augments, probs and list(probs)) if augments else None

    def __call__(self, inputs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Resize and mix a batch.

        Args:
            inputs: Images ``(N, C, H, W)``.
            scores: One-hot labels ``(N, num_classes)``.

        Returns:
            Images ``(N, C, H', W')``, and their scores as floating point numbers.
        """
        size = np.random.choice(self.sizes, 1 if self.square else 2).tolist() * 2
        inputs = F.interpolate(inputs, size[:2], mode="bilinear", antialias=True)
        return self.mix(inputs, scores) if self.mix else (inputs, scores.float())
