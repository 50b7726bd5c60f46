"""The authors' names; that the tensors land where they belong is tested with the network."""

import pytest
import torch

from mmsmlp.checkpoints import SPACH, source_of
from mmsmlp.models.backbones import SMLPNet


def test_every_tensor_gets_our_name(spach_weights: dict, spach_network: dict) -> None:
    converted, modules = SPACH.convert(spach_weights)
    backbone = SMLPNet(**spach_network, out_indices=-1)
    shapes = {f"backbone.{name}": value.shape for name, value in backbone.state_dict().items()}
    shapes |= {"head.fc.weight": (10, 64), "head.fc.bias": (10,)}
    assert {name: value.shape for name, value in converted.items()} == shapes
    assert modules["backbone.stages.2.blocks.1.smlp.row"] == "token_mix.4.1.proj_h"
    assert len(set(modules.values())) == len(modules)


def test_the_axes_are_those_that_the_code_mixes(spach_weights: dict) -> None:
    """`proj_h` is applied to (B, W, C, H): it mixes along the width."""
    converted, _ = SPACH.convert(spach_weights)
    for theirs, ours in (("proj_h", "row"), ("proh_w", "column")):
        expected = spach_weights[f"token_mix.3.1.{theirs}.weight"][:, :, 0, 0]
        assert torch.equal(converted[f"backbone.stages.2.blocks.0.smlp.{ours}.weight"], expected)


def test_wrappers_come_off(spach_weights: dict) -> None:
    wrapped = {f"module.model.{name}": value for name, value in spach_weights.items()}
    assert SPACH.convert(wrapped)[0].keys() == SPACH.convert(spach_weights)[0].keys()
    names = SPACH.convert(wrapped)[1]
    assert names["backbone.norm3"] == "module.model.batch_norm"


@pytest.mark.parametrize("lost", ["token_mix.1.", "channel_mix.5.1.weight", "to_patch_embedding"])
def test_a_missing_item_does_not_shift_the_others(lost: str, spach_weights: dict) -> None:
    whole, _ = SPACH.convert(spach_weights)
    rest = {name: value for name, value in spach_weights.items() if not name.startswith(lost)}
    converted, _ = SPACH.convert(rest)
    assert len(converted) == len(rest) < len(whole)
    for name, value in converted.items():
        assert torch.equal(value, whole[name])


def test_unknown_modules_keep_their_names(spach_weights: dict) -> None:
    spach_weights["relative.table"] = torch.zeros(2)
    assert "backbone.relative.table" in SPACH.convert(spach_weights)[0]


def test_others_are_not_mistaken_for_it(spach_weights: dict, spach_network: dict) -> None:
    assert source_of(spach_weights) is SPACH
    assert source_of(SMLPNet(**spach_network).state_dict()) is None
