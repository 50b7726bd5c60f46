"""Batch norm of the images of a padded batch, against torch's of their tokens in a row."""

import pytest
import torch
from torch import Tensor, nn

from mmsmlp.models.layers import CentredLayerNorm2d, Extents, LayerNorm2d, image_norm

SIZES = torch.tensor([[5, 7], [3, 2], [6, 4], [1, 1]])


@pytest.fixture
def extents() -> Extents:
    return Extents(*SIZES.unbind(dim=1), size=(6, 8))


@pytest.fixture
def x() -> Tensor:
    x = torch.randn(4, 3, 6, 8, dtype=torch.double) * 2 + 5
    return x.requires_grad_()


def tokens(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (T, C), of the images alone."""
    return torch.cat(
        [y[:, :h, :w].flatten(1).T for y, (h, w) in zip(x, SIZES.tolist(), strict=True)]
    )


@pytest.mark.parametrize(
    "settings", [dict(), dict(momentum=None), dict(affine=False), dict(track_running_stats=False)]
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_statistics_are_those_of_the_images(
    settings: dict, memory_format: torch.memory_format, x: Tensor, extents: Extents
) -> None:
    norm, expected = (norm(3, **settings).double() for norm in (nn.BatchNorm2d, nn.BatchNorm1d))
    if norm.affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    expected.load_state_dict(norm.state_dict())
    for _ in range(2):
        y = image_norm(norm, x.contiguous(memory_format=memory_format), extents)
        z = expected(tokens(x))
        torch.testing.assert_close(tokens(y), z)
        torch.testing.assert_close(dict(norm.named_buffers()), dict(expected.named_buffers()))
    weight = torch.randn_like(z)
    inputs = (x, *norm.parameters()), (x, *expected.parameters())
    torch.testing.assert_close(
        torch.autograd.grad((weight * tokens(y)).sum(), inputs[0]),
        torch.autograd.grad((weight * z).sum(), inputs[1]),
    )


def test_padding_is_zero_and_has_no_gradient(x: Tensor, extents: Extents) -> None:
    for norm in (nn.BatchNorm2d(3), CentredLayerNorm2d(3)):
        norm.double()
        nn.init.normal_(norm.bias)
        y = image_norm(norm, x, extents)
        assert torch.equal(y, extents.without_padding(y)) and y.all(dim=1).any()
        (gradient,) = torch.autograd.grad((torch.randn_like(y) * y).sum(), x)
        assert torch.equal(gradient, extents.without_padding(gradient)) and gradient.any()


def test_gradients_against_differences(x: Tensor, extents: Extents) -> None:
    norm = nn.BatchNorm2d(3).double()
    torch.autograd.gradcheck(lambda x: image_norm(norm, x, extents), x)
    centred = CentredLayerNorm2d(3).double()
    torch.autograd.gradcheck(lambda x: image_norm(centred, x, extents), x)


def test_centred_norm_takes_away_the_mean_of_the_images(x: Tensor, extents: Extents) -> None:
    norm, plain = CentredLayerNorm2d(3).double(), LayerNorm2d(3).double()
    expected = tokens(plain(x))
    y = image_norm(norm, x, extents)
    torch.testing.assert_close(tokens(y), expected - expected.mean(dim=0))
    torch.testing.assert_close(norm.running_mean, norm.momentum * expected.mean(dim=0))


def test_a_norm_in_evaluation_is_as_it_was_on_images(x: Tensor, extents: Extents) -> None:
    for norm in (nn.BatchNorm2d(3), CentredLayerNorm2d(3)):
        norm.double().eval()
        nn.init.normal_(norm.running_mean)
        y = image_norm(norm, x, extents)
        assert torch.equal(y, extents.without_padding(norm(x)))


def test_half_precision_keeps_its_type(x: Tensor, extents: Extents) -> None:
    norm = nn.BatchNorm2d(3)
    y = image_norm(norm, x.detach().bfloat16(), extents)
    assert y.dtype == torch.bfloat16
    expected = tokens(image_norm(nn.BatchNorm2d(3).double(), x, extents))
    torch.testing.assert_close(tokens(y).double(), expected, atol=0.05, rtol=0.02)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, CentredLayerNorm2d])
def test_autocast_rounds_no_statistics(norm: type[nn.Module], half: torch.dtype) -> None:
    """Sums over large maps are beyond what float16 holds, and bfloat16 rounds them."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 300, 300) + 20 * torch.rand(3, 1, 1)
    extents = Extents(torch.tensor([300, 200]), torch.tensor([290, 300]), (300, 300))
    plain, rounded = norm(3), norm(3)
    expected = image_norm(plain, x, extents)
    with torch.autocast("cpu", half):
        y = image_norm(rounded, x, extents)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(rounded.state_dict(), plain.state_dict())
