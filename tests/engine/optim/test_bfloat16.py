"""Mixed precision on a CPU: what runs in bfloat16, and what does not."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

from mmsmlp.engine.optim import BFloat16OptimWrapper


def wrapper_of(model: nn.Module) -> BFloat16OptimWrapper:
    optimizer = dict(type="SGD", lr=0.5)
    return build_optim_wrapper(model, dict(type="mmsmlp.BFloat16OptimWrapper", optimizer=optimizer))


class Head(nn.Linear):
    """What mmdet's heads and RoI extractors look like from outside."""

    def predict_by_feat(self) -> None: ...


class Extractor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.roi_layers = nn.ModuleList()

    def forward(self, maps: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
        assert maps[0].dtype is torch.float32
        return boxes.type_as(maps[0])


def test_a_step_is_taken_by_gradients_in_half_precision() -> None:
    torch.manual_seed(0)
    model = nn.Linear(40, 7)
    x, target = torch.randn(5, 40), torch.randn(5, 7)
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()
    wrapper = wrapper_of(model)
    with wrapper.optim_context(model):
        y = model(x)
        assert y.dtype is torch.bfloat16
        loss = F.mse_loss(y.float(), target)
    wrapper.update_params(loss)

    def half(x: Tensor) -> Tensor:
        return x.bfloat16().float()

    by_hand = half(half(x) @ half(weight).T + half(bias))
    torch.testing.assert_close(y.float(), by_hand, rtol=2**-7, atol=2**-7)
    grad = half(2 * (y.detach().float() - target) / target.numel())
    assert model.weight.dtype is torch.float32
    for learnt, old, slope in (
        (model.weight, weight, grad.T @ half(x)),
        (model.bias, bias, grad.sum(dim=0)),
    ):
        torch.testing.assert_close((old - learnt.detach()) / 0.5, slope, rtol=2**-6, atol=2**-8)


def test_heads_and_boxes_are_in_single_precision() -> None:
    model = nn.ModuleDict(dict(body=nn.Linear(4, 4), extractor=Extractor(), head=Head(4, 2)))
    boxes = torch.tensor([[0.0, 1001.25, 3.0]])  # bfloat16 knows 1000 and 1004
    with wrapper_of(model).optim_context(model):
        maps = model["body"](torch.randn(3, 4))
        assert maps.dtype is torch.bfloat16
        assert torch.equal(model["extractor"]((maps,), boxes), boxes)
        scores = model["head"](maps)
        assert scores.dtype is torch.float32 and torch.equal(scores.bfloat16().float(), scores)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert model["head"](maps.float()).dtype is torch.float32


def test_regions_are_cut_out_where_boxes_say() -> None:
    pytest.importorskip("mmdet")
    from mmdet.models.roi_heads import SingleRoIExtractor

    model = SingleRoIExtractor(dict(type="RoIAlign", output_size=3), 2, featmap_strides=[8])
    maps = (torch.rand(1, 2, 20, 150, dtype=torch.bfloat16),)
    boxes = torch.tensor([[0.0, 1001.25, 3.0, 1101.0, 90.5]])
    with wrapper_of(nn.Sequential(model, nn.Linear(1, 1))).optim_context(model):
        regions = model(maps, boxes)
    assert torch.equal(regions, model((maps[0].float(),), boxes))
