"""Names and shapes against those of a module, by hand."""

import pytest
import torch
from torch import nn

from mmsmlp.checkpoints import below_prefix, load_tensors
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
    prefix, below = below_prefix(Network(), state_dict, given)
    assert prefix == there
    for name in Network().state_dict():
        assert below[name] is state_dict[there + name]
    loading = load_tensors(Network(), below)
    assert loading.loaded == list(Network().state_dict())
    assert not loading.missing and not loading.mismatched and not loading.resized
    assert loading.unexpected == ([] if there else ["head.fc.weight", "neck.norm"])


def test_several_copies_need_a_prefix() -> None:
    state_dict = {**weights("student."), **weights("teacher.")}
    assert below_prefix(Network(), state_dict, "teacher")[0] == "teacher."
    with pytest.raises(CheckpointError, match=r"several prefixes, name one: student\., teacher\."):
        below_prefix(Network(), state_dict, "backbone.")
    # A copy that lacks something is still what the user asked for.
    del state_dict["teacher.fc.bias"]
    assert below_prefix(Network(), state_dict, "teacher")[0] == "teacher."
    assert below_prefix(Network(), state_dict)[0] == "student."


def test_missing_and_unexpected_names_are_reported() -> None:
    state_dict = weights("")
    del state_dict["fc.bias"], state_dict["norm.num_batches_tracked"]
    state_dict["more.weight"] = torch.zeros(1)
    loading = load_tensors(Network(), state_dict)
    assert loading.missing == ["fc.bias"]
    assert loading.unexpected == ["more.weight"]
    assert "norm.num_batches_tracked" not in loading.loaded


def test_axial_maps_of_another_length_are_resized_and_other_shapes_are_not() -> None:
    state_dict = weights("", Network(length=6))
    state_dict["fc.weight"] = torch.zeros(2, 5)
    loading = load_tensors(Network(), state_dict)
    assert loading.resized == {"row.weight": ((6, 6), (4, 4)), "row.bias": ((6,), (4,))}
    assert loading.mismatched == {"fc.weight": ((2, 5), (2, 3))}
    assert "row.weight" in loading.loaded and "fc.weight" not in loading.loaded
    state_dict["row.weight"] = torch.zeros(6, 5)
    assert "row.weight" in load_tensors(Network(), state_dict).mismatched


def test_weighted_sums_of_four_dimensions_are_resized_and_other_shapes_are_not() -> None:
    fusion, weight = WeightedSum(4, 3), torch.zeros(3, 4, 1, 1)
    assert load_tensors(fusion, {"weight": weight}).resized == {"weight": ((3, 4, 1, 1), (12,))}
    assert "weight" in load_tensors(fusion, {"weight": weight.view(4, 3, 1, 1)}).mismatched


def test_a_centred_layer_norm_takes_the_weights_of_a_plain_one() -> None:
    loading = load_tensors(CentredLayerNorm2d(4), LayerNorm2d(4).state_dict())
    assert {"weight", "bias"} <= set(loading.loaded) and not loading.missing


def test_split_attention_of_the_papers_form_is_resized_and_other_shapes_are_not() -> None:
    attention = SplitAttention(8, 3, num_tokens=4)
    paper = {name: weight.T for name, weight in attention.state_dict().items()}
    shapes = {"weight1": ((2, 8), (8, 2)), "weight2": ((24, 2), (2, 24))}
    assert load_tensors(attention, paper).resized == shapes
    assert not load_tensors(attention, attention.state_dict()).resized
    other = {name: torch.zeros(4, 4) for name in paper}
    assert set(load_tensors(attention, other).mismatched) == set(paper)


@pytest.mark.parametrize("state_dict", [{}, {"layer1.weight": torch.zeros(1)}, {"fc.bias": None}])
def test_another_network_is_an_error_that_lists_its_tensors(state_dict: dict) -> None:
    with pytest.raises(CheckpointError) as error:
        below_prefix(Network(), state_dict, "backbone.")
    message = str(error.value)
    found = sum(name in state_dict for name in Network().state_dict())
    assert f"only {found} of its 8 tensors are there, whatever the prefix" in message
    assert "looked for fc.bias, fc.weight, norm.bias and 5 more" in message
    assert f"the checkpoint has {next(iter(state_dict), 'nothing')}" in message
