"""A config with another backbone, or why there is none."""

from typing import Any

import pytest

from mmsmlp.errors import SwapError
from mmsmlp.swap import named_backbone, swap_backbone


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(optim_wrapper=dict(optimizer=None)), r"TypeError: 'NoneType'.*, at `.*optimizer"),
        (dict(optim_wrapper=dict(type="OptimWrapper")), "KeyError: 'optimizer', at `"),
        (dict(param_scheduler=[None]), "AttributeError: 'NoneType' .*, at `.*scheduler"),
        (dict(model="x"), "the config has no model$"),
    ],
)
def test_a_setting_of_an_unusual_form_is_named(changes: dict[str, Any], message: str) -> None:
    pytest.importorskip("mmseg")
    model = dict(
        type="EncoderDecoder",
        backbone=dict(type="ResNet", depth=18, out_indices=(0, 1, 2, 3)),
        decode_head=dict(type="FCNHead", in_channels=512, in_index=3, channels=8, num_classes=2),
    )
    optimizer = dict(type="SGD", lr=0.1)
    cfg = dict(default_scope="mmseg", model=model, optim_wrapper=dict(optimizer=optimizer))
    backbone = named_backbone("smlpnet_t")
    swap_backbone(cfg, backbone)
    with pytest.raises(SwapError, match=message):
        swap_backbone({**cfg, **changes}, backbone)
