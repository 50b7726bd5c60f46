"""What a backbone outputs, found by trying."""

import pytest

from mmsmlp.swap.backbones import outputs_of
from mmsmlp.swap.levels import Levels


def test_a_backbone_that_takes_one_size_is_tried_on_that() -> None:
    pytest.importorskip("mmseg")
    vit = dict(type="MAE", img_size=(96, 64), embed_dims=8, num_layers=2, num_heads=1)
    assert outputs_of(dict(vit, out_indices=[0, 1]), "mmseg") == Levels((8, 8), (16, 16))
