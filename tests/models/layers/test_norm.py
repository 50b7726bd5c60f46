"""Norms of maps by their formulas."""

from collections.abc import Callable

import torch
from torch import nn

from mmsmlp.models.layers import CentredLayerNorm2d, LayerNorm2d


def test_layer_norm_of_a_map_is_that_of_each_token() -> None:
    torch.manual_seed(0)
    norm = LayerNorm2d(4).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    mean, variance = x.mean(dim=1, keepdim=True), x.var(dim=1, keepdim=True, unbiased=False)
    expected = (x - mean) / (variance + 1e-5).sqrt()
    expected = expected * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected)


def centred_and_plain() -> tuple[CentredLayerNorm2d, LayerNorm2d]:
    torch.manual_seed(0)
    centred, plain = CentredLayerNorm2d(4).double(), LayerNorm2d(4).double()
    nn.init.normal_(plain.weight)
    nn.init.normal_(plain.bias)
    nn.init.normal_(centred.running_mean)
    centred.load_state_dict(plain.state_dict())
    return centred, plain


def test_a_centred_norm_takes_away_the_mean_of_the_batch_and_then_a_running_one() -> None:
    centred, plain = centred_and_plain()
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64) + 3
    assert torch.equal(centred.eval()(x), plain(x))
    y = plain(x)
    means = torch.stack([y[:, channel].mean() for channel in range(4)])
    torch.testing.assert_close(centred.train()(x), y - means[:, None, None])
    torch.testing.assert_close(centred.eval()(x), y - 0.1 * means[:, None, None])
    centred.train()(x)
    torch.testing.assert_close(centred.running_mean, (1 - 0.9**2) * means)


def test_a_running_mean_comes_with_the_weights() -> None:
    centred, other = CentredLayerNorm2d(4), CentredLayerNorm2d(4)
    nn.init.normal_(centred.running_mean)
    other.load_state_dict(centred.state_dict())
    assert torch.equal(other.running_mean, centred.running_mean)


def test_no_gradient_of_a_centred_norm_moves_all_tokens_equally() -> None:
    centred, _ = centred_and_plain()
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    y = centred(x)
    ((y**3).sum() + 7 * y.sum()).backward()
    assert centred.bias.grad.abs().max() < 1e-9
    assert centred.weight.grad.abs().min() > 1e-3
    assert torch.autograd.gradcheck(centred, x[:, :, :2, :2])


def test_processes_centre_by_the_mean_of_all(in_two_processes: Callable) -> None:
    def run(x: torch.Tensor) -> list[torch.Tensor]:
        centred, _ = centred_and_plain()
        x.requires_grad_()
        y = centred(x)
        (y**3).sum().backward()
        return [y.detach(), x.grad, centred.running_mean]

    torch.manual_seed(0)
    x = torch.randn(4, 4, 5, 6, dtype=torch.float64)
    (y0, grad0, mean0), (y1, grad1, mean1) = in_two_processes(lambda rank: run(x.chunk(2)[rank]))
    y, grad, mean = run(x)
    torch.testing.assert_close([torch.cat([y0, y1]), torch.cat([grad0, grad1])], [y, grad])
    torch.testing.assert_close([mean0, mean1], [mean, mean])


def test_an_empty_batch_teaches_no_mean(in_two_processes: Callable) -> None:
    """As with batch norms; nor does it disturb another process."""

    def run(x: torch.Tensor) -> list[torch.Tensor]:
        centred, _ = centred_and_plain()
        centred.running_mean.fill_(2.0)
        x = x.requires_grad_()
        centred(x).square().sum().backward()
        return [x.grad, centred.running_mean]

    _, mean = run(torch.zeros(0, 4, 5, 6, dtype=torch.float64))
    assert torch.equal(mean, torch.full_like(mean, 2.0))
    torch.manual_seed(0)
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    (grad, mean), (_, of_none) = in_two_processes(lambda rank: run(x if rank == 0 else x[:0]))
    assert grad.isfinite().all() and mean.isfinite().all()
    assert torch.equal(of_none, torch.full_like(of_none, 2.0))
