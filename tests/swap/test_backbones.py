"""What a backbone outputs, found by trying."""

import pytest

from mmsmlp.errors import SwapError
from mmsmlp.registry import MODELS
from mmsmlp.swap.backbones import build, outputs_of
from mmsmlp.swap.levels import Levels


def test_a_backbone_that_takes_one_size_is_tried_on_that() -> None:
    pytest.importorskip("mmseg")
    vit = dict(type="MAE", img_size=(96, 64), embed_dims=8, num_layers=2, num_heads=1)
    assert outputs_of(dict(vit, out_indices=[0, 1]), "mmseg") == Levels((8, 8), (16, 16))


@pytest.mark.parametrize(
    "message",
    [
        "No module named 'bagel.core'",
        "bagel is not installed, please install it",
        'To save memory, install it by `pip install "bagel"`.',
    ],
)
def test_a_package_that_is_missing_is_named(message: str) -> None:
    pytest.importorskip("mmdet")

    @MODELS.register_module(name="Hungry", force=True)
    def hungry() -> None:
        raise RuntimeError(message)

    try:
        with pytest.raises(SwapError, match="its neck needs the package bagel, which is not"):
            build(dict(type="mmsmlp.Hungry"), "mmdet", "neck")
    finally:
        MODELS.module_dict.pop("Hungry")
