"""What a whole model may be given to load."""

import logging

import pytest
import torch
from torch import Tensor, nn

from mmsmlp.checkpoints import check_weights
from mmsmlp.errors import CheckpointError


def model(classes: int = 3) -> nn.Module:
    parts = dict(backbone=nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    heads = dict(head=nn.Linear(2, classes), auxiliary_head=nn.Linear(2, classes))
    return nn.ModuleDict({**parts, **heads})


@pytest.fixture
def weights() -> dict[str, Tensor]:
    return model().state_dict()


def part(weights: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if name.startswith(names)}


@pytest.mark.parametrize("wrapped", [True, False])
def test_all_of_it_is_no_news(wrapped: bool, weights: dict) -> None:
    if wrapped:  # by DistributedDataParallel
        weights = {f"module.{name}": value for name, value in weights.items()}
    line, level = check_weights(model(), dict(state_dict=weights))
    assert line == "11 tensors loaded, 0 of them resized, 0 missing, 0 unexpected"
    assert level == logging.INFO
    assert check_weights(model(), weights) == (line, level)


def test_a_head_that_helped_in_training_may_be_missing(weights: dict) -> None:
    line, level = check_weights(model(), part(weights, "backbone", "head"))
    assert "2 missing (auxiliary_head.weight, auxiliary_head.bias)" in line
    assert level == logging.WARNING


def test_a_head_that_predicts_may_not(weights: dict) -> None:
    weights = part(weights, "backbone", "auxiliary")
    with pytest.raises(CheckpointError, match=r"^it lacks the model's head: head\.weight, head\.b"):
        check_weights(model(), weights)
    check_weights(model(), weights, "backbone")
    check_weights(model(), weights, "some")


def test_a_head_of_other_classes_is_for_fine_tuning(weights: dict) -> None:
    with pytest.raises(
        CheckpointError,
        match=r"^2 of another shape: head\.weight is \(3, 2\) there and \(4, 2\) here, head",
    ):
        check_weights(model(4), weights)
    line, level = check_weights(model(4), weights, "some")
    assert "7 tensors loaded" in line and "4 of another shape (head.weight, head.bias, aux" in line
    assert level == logging.WARNING


def test_a_backbone_alone_is_for_fine_tuning(weights: dict) -> None:
    line, _ = check_weights(model(), part(weights, "backbone.0"), "some")
    assert "2 tensors loaded" in line


@pytest.mark.parametrize("needs", ["whole", "backbone", "some"])
def test_what_is_of_something_else_is_refused(needs: str, weights: dict) -> None:
    weights = {"other": torch.zeros(1), "another": torch.zeros(1), **part(weights, "head.bias")}
    with pytest.raises(CheckpointError, match=r"of something else: 1 of the model's 10 tensors"):
        check_weights(model(), weights, needs)
    with pytest.raises(CheckpointError, match=r"of something else: 0 of the .* it has nothing$"):
        check_weights(model(), {}, needs)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("text", r"^its head\.bias is a str, not a tensor$"),
        (5, r"^its head\.bias is a int, not a tensor$"),
        (
            torch.arange(3),
            r"^1 of another type: head\.bias is torch\.int64 there and",
        ),
    ],
)
def test_what_is_no_weight_is_refused(value: object, message: str, weights: dict) -> None:
    for needs in ("whole", "some"):
        with pytest.raises(CheckpointError, match=message):
            check_weights(model(), dict(weights, **{"head.bias": value}), needs)
    with pytest.raises(CheckpointError, match=r"^its state_dict is a list, not a dict of tensors$"):
        check_weights(model(), dict(state_dict=[weights]))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_said(value: float, weights: dict) -> None:
    weights["head.bias"][1] = value
    line, level = check_weights(model(), weights)
    assert line.endswith("1 with NaN or infinity (head.bias)")
    assert level == logging.WARNING
