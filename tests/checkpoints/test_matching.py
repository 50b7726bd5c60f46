"""Names and shapes against those of a module, by hand."""

import pytest
import torch
from torch import nn

from mmsmlp.checkpoints import match
from mmsmlp.errors import CheckpointError
from mmsmlp.models.layers import (
    AxialMixing,
    CentredLayerNorm2d,
    LayerNorm2d,
    SplitAttention,
    WeightedSum,
)


class Network(nn.Module):
    def __init__(self, length: int = 4) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.row = AxialMixing(length, dim=-1)
        self.fc = nn.Linear(3, 2)


def weights(prefix: str, network: nn.Module | None = None) -> dict[str, torch.Tensor]:
    state_dict = (network or Network()).state_dict()
    return {f"{prefix}{name}": value for name, value in state_dict.items()}


@pytest.mark.parametrize("given", [None, "backbone.", "backbone", "wrong.", ""])
@pytest.mark.parametrize("there", ["", "backbone.", "student.model.backbone."])
def test_the_prefix_is_found(there: str, given: str | None) -> None:
    state_dict = {**weights(there), "head.fc.weight": torch.zeros(1), "neck.norm": torch.zeros(1)}
    matched = match(Network(), state_dict, given)
    assert matched.prefix == there
    assert list(matched.tensors) == list(Network().state_dict())
    for name, value in matched.tensors.items():
        assert value is state_dict[there + name]
    assert not matched.missing and not matched.mismatched and not matched.resized
    assert matched.unexpected == ([] if there else ["head.fc.weight", "neck.norm"])


def test_several_copies_need_a_prefix() -> None:
    state_dict = {**weights("student."), **weights("teacher.")}
    assert match(Network(), state_dict, "teacher").prefix == "teacher."
    with pytest.raises(CheckpointError, match=r"several prefixes, name one: student\., teacher\."):
        match(Network(), state_dict, "backbone.")
    # A copy that lacks something is still what the user asked for.
    del state_dict["teacher.fc.bias"]
    assert match(Network(), state_dict, "teacher").missing == ["fc.bias"]
    assert match(Network(), state_dict).prefix == "student."


def test_missing_and_unexpected_names_are_told() -> None:
    state_dict = weights("backbone.")
    del state_dict["backbone.fc.bias"], state_dict["backbone.norm.num_batches_tracked"]
    state_dict["backbone.more.weight"] = torch.zeros(1)
    matched = match(Network(), state_dict)
    assert matched.missing == ["fc.bias"]
    assert matched.unexpected == ["more.weight"]
    assert "norm.num_batches_tracked" not in matched.tensors


def test_axial_maps_of_another_length_are_resized_and_other_shapes_are_not() -> None:
    state_dict = weights("", Network(length=6))
    state_dict["fc.weight"] = torch.zeros(2, 5)
    matched = match(Network(), state_dict)
    assert matched.resized == {"row.weight": ((6, 6), (4, 4)), "row.bias": ((6,), (4,))}
    assert matched.mismatched == {"fc.weight": ((2, 5), (2, 3))}
    assert "row.weight" in matched.tensors and "fc.weight" not in matched.tensors
    state_dict["row.weight"] = torch.zeros(6, 5)
    assert "row.weight" in match(Network(), state_dict).mismatched


def test_weighted_sums_of_four_dimensions_are_resized_and_other_shapes_are_not() -> None:
    fusion, weight = WeightedSum(4, 3), torch.zeros(3, 4, 1, 1)
    assert match(fusion, {"weight": weight}).resized == {"weight": ((3, 4, 1, 1), (12,))}
    assert "weight" in match(fusion, {"weight": weight.view(4, 3, 1, 1)}).mismatched


def test_a_centred_layer_norm_takes_the_weights_of_a_plain_one() -> None:
    matched = match(CentredLayerNorm2d(4), LayerNorm2d(4).state_dict())
    assert set(matched.tensors) == {"weight", "bias"} and not matched.missing


def test_split_attention_of_the_papers_form_is_resized_and_other_shapes_are_not() -> None:
    attention = SplitAttention(8, 3, num_tokens=4)
    paper = {name: weight.T for name, weight in attention.state_dict().items()}
    shapes = {"weight1": ((2, 8), (8, 2)), "weight2": ((24, 2), (2, 24))}
    assert match(attention, paper).resized == shapes
    assert not match(attention, attention.state_dict()).resized
    other = {name: torch.zeros(4, 4) for name in paper}
    assert set(match(attention, other).mismatched) == set(paper)


@pytest.mark.parametrize("state_dict", [{}, {"layer1.weight": torch.zeros(1)}, {"fc.bias": None}])
def test_another_network_is_said_with_what_it_has(state_dict: dict) -> None:
    with pytest.raises(CheckpointError) as error:
        match(Network(), state_dict, "backbone.")
    message = str(error.value)
    found = sum(name in state_dict for name in Network().state_dict())
    assert f"only {found} of its 8 tensors are there, whatever the prefix" in message
    assert "looked for fc.bias, fc.weight, norm.bias and 5 more" in message
    assert f"the checkpoint has {next(iter(state_dict), 'nothing')}" in message
