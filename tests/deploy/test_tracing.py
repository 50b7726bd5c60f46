"""One graph for images of every size."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmsmlp.deploy.tracing import adaptive_avg_pool2d, linspace, open_functions, trace
from mmsmlp.errors import ExportError


@pytest.mark.parametrize("size", [(1, 3), (2, 6), 3, 1, (1, 1), (None, 2)])
def test_adaptive_pooling_equals_that_of_torch(size: int | tuple) -> None:
    for height, width in ((7, 11), (6, 6), (1, 13), (2, 3)):
        x = torch.randn(2, 3, height, width)
        torch.testing.assert_close(adaptive_avg_pool2d(x, size), nn.AdaptiveAvgPool2d(size)(x))


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_steps_equal_those_of_torch(steps: int) -> None:
    torch.testing.assert_close(linspace(-1, 1, steps), torch.linspace(-1, 1, steps))
    expected = torch.linspace(0, 5, steps, dtype=torch.float64)
    torch.testing.assert_close(linspace(0, 5, steps, dtype=torch.float64), expected)


def test_functions_are_themselves_again() -> None:
    before = F.adaptive_avg_pool2d, torch.linspace
    with pytest.raises(KeyError), open_functions():
        assert (F.adaptive_avg_pool2d, torch.linspace) == (adaptive_avg_pool2d, linspace)
        raise KeyError
    assert (F.adaptive_avg_pool2d, torch.linspace) == before


class Coordinates(nn.Module):
    """What would be traced for one size only."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        pooled = nn.AdaptiveAvgPool2d((2, 3))(image).mean(dim=(1, 2, 3))
        return torch.linspace(0, 1, image.shape[3]) + pooled[:, None]


def test_a_graph_takes_other_sizes() -> None:
    pytest.importorskip("torch", minversion="2.6", reason="torch cannot export open sizes")
    graph = trace(Coordinates()).module()
    for size in ((1, 3, 30, 40), (5, 3, 400, 300)):
        x = torch.randn(size)
        torch.testing.assert_close(graph(x), Coordinates()(x), atol=1e-6, rtol=1e-5)


def test_a_model_that_cannot_be_traced_is_named_in_one_line() -> None:
    pytest.importorskip("torch", minversion="2.6", reason="torch cannot export open sizes")

    class ByValue(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image if image.sum() > 0 else -image

    with pytest.raises(ExportError, match=r"torch.export does not take it: \w+: ") as error:
        trace(ByValue())
    assert "\n" not in str(error.value)


@torch.no_grad()
def test_deformable_convolutions_are_those_of_mmcv() -> None:
    ops = pytest.importorskip("mmcv.ops")
    pytest.importorskip("torchvision")
    torch.manual_seed(0)
    plain = ops.DeformConv2d(4, 6, 3, padding=1, stride=2, groups=2, deform_groups=2)
    modulated = ops.ModulatedDeformConv2d(4, 6, 3, padding=2, dilation=2, bias=True)
    x = torch.randn(2, 4, 9, 12)
    cases = [
        (plain, (x, torch.randn(2, 36, 5, 6))),
        (modulated, (x, torch.randn(2, 18, 9, 12), torch.rand(2, 9, 9, 12))),
    ]
    expected = [convolution(*inputs) for convolution, inputs in cases]
    with open_functions():
        found = [convolution(*inputs) for convolution, inputs in cases]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
