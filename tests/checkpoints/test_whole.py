"""What a whole model may be given to load."""

import logging

import pytest
import torch
from mmengine.model import BaseTTAModel
from torch import Tensor, nn

from mmsmlp.checkpoints import check_loading, load_weights
from mmsmlp.errors import CheckpointError

SAYS = r"^cannot load 'a\.pth': "


def model(classes: int = 3) -> nn.Module:
    parts = dict(backbone=nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    heads = dict(head=nn.Linear(2, classes), auxiliary_head=nn.Linear(2, classes))
    return nn.ModuleDict({**parts, **heads})


@pytest.fixture
def weights() -> dict[str, Tensor]:
    return model().state_dict()


def load(model: nn.Module, checkpoint: dict, needs: str = "whole") -> tuple[str, int]:
    return load_weights(model, checkpoint, "a.pth", needs)


def part(weights: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if name.startswith(names)}


@pytest.mark.parametrize("wrapped", [True, False])
def test_all_of_it_is_no_news(wrapped: bool, weights: dict) -> None:
    if wrapped:  # by DistributedDataParallel
        weights = {f"module.{name}": value for name, value in weights.items()}
    line, level = load(model(), dict(state_dict=weights))
    assert line == "11 tensors loaded, 0 of them resized, 0 missing, 0 unexpected"
    assert level == logging.INFO
    assert load(model(), weights) == (line, level)


def test_a_head_that_helped_in_training_may_be_missing(weights: dict) -> None:
    line, level = load(model(), part(weights, "backbone", "head"))
    assert "2 missing (auxiliary_head.weight, auxiliary_head.bias)" in line
    assert level == logging.WARNING


def test_a_head_that_predicts_may_not(weights: dict) -> None:
    weights = part(weights, "backbone", "auxiliary")
    with pytest.raises(
        CheckpointError, match=SAYS + r"it lacks the model's head: head\.weight, head\.b"
    ):
        load(model(), weights)
    load(model(), weights, "backbone")
    load(model(), weights, "some")


def test_a_head_of_other_classes_is_for_fine_tuning(weights: dict) -> None:
    with pytest.raises(
        CheckpointError,
        match=SAYS + r"2 of another shape: head\.weight is \(3, 2\) there and \(4, 2\) here, head",
    ):
        load(model(4), weights)
    line, level = load(model(4), weights, "some")
    assert "7 tensors loaded" in line and "4 of another shape (head.weight, head.bias, aux" in line
    assert level == logging.WARNING


def test_a_backbone_alone_is_for_fine_tuning(weights: dict) -> None:
    line, _ = load(model(), part(weights, "backbone.0"), "some")
    assert "2 tensors loaded" in line


@pytest.mark.parametrize("needs", ["whole", "backbone", "some"])
def test_weights_of_another_model_are_an_error(needs: str, weights: dict) -> None:
    weights = {"other": torch.zeros(1), "another": torch.zeros(1), **part(weights, "head.bias")}
    with pytest.raises(CheckpointError, match=r"of something else: 1 of the model's 10 tensors"):
        load(model(), weights, needs)
    with pytest.raises(CheckpointError, match=r"of something else: 0 of the .* it has nothing$"):
        load(model(), {}, needs)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("text", SAYS + r"its head\.bias is a str, not a tensor$"),
        (5, SAYS + r"its head\.bias is a int, not a tensor$"),
        (
            torch.arange(3),
            SAYS + r"1 of another type: head\.bias is torch\.int64 there and",
        ),
    ],
)
def test_a_value_that_is_no_weight_is_an_error(value: object, message: str, weights: dict) -> None:
    for needs in ("whole", "some"):
        with pytest.raises(CheckpointError, match=message):
            load(model(), dict(weights, **{"head.bias": value}), needs)
    with pytest.raises(
        CheckpointError, match=SAYS + r"its state_dict is a list, not a dict of tensors$"
    ):
        load(model(), dict(state_dict=[weights]))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_reported(value: float, weights: dict) -> None:
    weights["head.bias"][1] = value
    line, level = load(model(), weights)
    assert line.endswith("1 with NaN or infinity (head.bias)")
    assert level == logging.WARNING


def test_weights_of_a_model_in_test_time_augmentation_are_those_of_the_model(
    weights: dict,
) -> None:
    class Averaged(BaseTTAModel):
        def __init__(self, module: nn.Module) -> None:
            nn.Module.__init__(self)
            self.module = module

        def merge_preds(self, data_samples_list: list) -> list:
            return [samples[0] for samples in data_samples_list]

    averaged = Averaged(model())
    line, level = load(averaged, weights)
    assert line.startswith("11 tensors loaded") and level == logging.INFO
    assert torch.equal(averaged.module["head"].weight, weights["head.weight"])
    with pytest.raises(CheckpointError, match="of something else: 0 of the model's 10 tensors"):
        load(averaged, {"other": torch.zeros(1)})


class Pair(nn.Module):
    """A teacher and a student, which load the weights of one model, as mmdet's do."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.teacher, self.student = model(classes), model(classes)

    def _load_from_state_dict(self, state_dict: dict, *args: object) -> None:
        for name in [name for name in state_dict if not name.startswith(("teacher", "student"))]:
            value = state_dict.pop(name)
            state_dict[f"teacher.{name}"] = state_dict[f"student.{name}"] = value
        super()._load_from_state_dict(state_dict, *args)


def test_a_model_that_renames_weights_is_checked_after_loading(weights: dict) -> None:
    pair = Pair()
    line, _ = load(pair, weights)
    assert "0 missing, 0 unexpected" in line
    for name, value in weights.items():
        assert torch.equal(pair.teacher.state_dict()[name], value), name
    with pytest.raises(CheckpointError, match="of something else: 0 of the model's 20 tensors"):
        load(Pair(), {f"x.{name}": value for name, value in weights.items()})


def test_a_check_that_was_removed_is_gone(weights: dict) -> None:
    network = model()
    check_loading(network, {}, "whole", "a.pth", lambda *line: None).remove()
    network.load_state_dict(weights)
