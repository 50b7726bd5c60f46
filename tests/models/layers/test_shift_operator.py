"""The fused shift beside the plain form; its kernels run in Triton's interpreter."""

import itertools
import os
import subprocess
import sys
import textwrap
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from mmsmlp.models.layers import shift_operator as module
from mmsmlp.models.layers.shift import SS1, SS2, channel_groups, spatial_shift
from mmsmlp.models.layers.shift_operator import (
    can_fuse,
    check_kernels,
    fused_shift,
    plain_gradients,
    plain_shift,
)

pytestmark = pytest.mark.skipif(not module.HAS_CUSTOM_OPS, reason="torch below 2.4")
SHIFTS = (SS1, SS2, (), ((1, 1), (-1, 1)))


def table_of(shifts: tuple, channels: int) -> Tensor:
    table = torch.zeros(len(shifts), 2, channels, dtype=torch.int32)
    for k, shift in enumerate(shifts):
        for group, (down, right) in channel_groups(shift, channels):
            table[k, 0, group], table[k, 1, group] = down, right
    return table


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (6, 9)], ids=str)
@pytest.mark.parametrize("channels", [4, 11])
def test_the_plain_form_is_the_weighted_sum_of_shifted_maps(
    size: tuple[int, int], channels: int
) -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, *size, len(SHIFTS) * channels)
    weights = torch.rand(2, len(SHIFTS), channels)
    chunks = maps.permute(0, 3, 1, 2).chunk(len(SHIFTS), dim=1)
    moved = [spatial_shift(x, shift) for x, shift in zip(chunks, SHIFTS, strict=True)]
    expected = sum(w[:, :, None, None] * x for w, x in zip(weights.unbind(1), moved, strict=True))
    ours = plain_shift(maps, weights, table_of(SHIFTS, channels), False)
    torch.testing.assert_close(ours.permute(0, 3, 1, 2), expected)
    activated = plain_shift(maps, None, table_of(SHIFTS, channels), True)
    expected = sum(map(torch.nn.functional.gelu, moved))
    torch.testing.assert_close(activated.permute(0, 3, 1, 2), expected)


@pytest.mark.parametrize("weighted", [True, False])
def test_the_operator_has_the_gradients_of_the_plain_form(weighted: bool) -> None:
    torch.manual_seed(0)
    table = table_of(SHIFTS, 5)
    maps = torch.randn(2, 3, 4, 20, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(2, 4, 5, dtype=torch.float64, requires_grad=True) if weighted else None
    inputs = (maps, weights) if weighted else (maps,)

    def run(maps: Tensor, weights: Tensor | None = None) -> Tensor:
        return fused_shift(maps, table, weights, gelu=not weighted)

    torch.autograd.gradcheck(run, inputs, eps=1e-6, atol=2e-4)
    torch.autograd.gradgradcheck(run, inputs, eps=1e-6, atol=2e-4)
    single = [x.detach().float() for x in inputs] + [None] * (2 - len(inputs))
    torch.library.opcheck(
        torch.ops.mmsmlp.fused_shift,
        (*single, table, not weighted),
        test_utils=("test_schema", "test_faketensor"),
    )


def test_the_kernels_agree_with_the_plain_form_in_tritons_interpreter() -> None:
    pytest.importorskip("triton")
    script = """
        import torch
        from mmsmlp.models.layers import shift_kernels
        from mmsmlp.models.layers.shift_operator import TOKENS, check_kernels, plain_shift

        for dtype in (torch.float32, torch.bfloat16):
            for flags in [(True, False), (False, True), (False, False)]:
                check_kernels(shift_kernels, torch.device("cpu"), dtype, *flags)
        for size in [(1, 1), (1, 70), (65, 1)]:
            maps, weights = torch.randn(1, *size, 6), torch.rand(1, 2, 3)
            table = torch.tensor([[[1, 0, -1], [0, -1, 1]], [[2, 0, 0], [0, 0, -9]]]).int()
            y = shift_kernels.forward(maps, weights, table, False)
            torch.testing.assert_close(y, plain_shift(maps, weights, table, False))
    """
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, env=environment)


def test_kernels_that_differ_are_found_out() -> None:
    def wrong(*arguments) -> Tensor:
        return plain_shift(*arguments) * 1.01

    kernels = SimpleNamespace(forward=wrong, backward=plain_gradients)
    with pytest.raises(ArithmeticError, match=r"difference of 1.0e-02"):
        check_kernels(kernels, torch.device("cpu"), torch.float32, False, True)
    kernels.forward = plain_shift
    check_kernels(kernels, torch.device("cpu"), torch.float32, False, True)


def test_kernels_that_do_not_run_give_one_warning_and_the_plain_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*arguments) -> None:
        raise RuntimeError("no compiler\nmore")

    monkeypatch.setattr(module._Kernels, "failure", None)
    monkeypatch.setattr(module._Kernels, "_checked", fails)
    on_cuda = SimpleNamespace(is_cuda=True, device="cuda:0", dtype=torch.float32)
    with pytest.warns(UserWarning, match=r"RuntimeError: no compiler\); MMSMLP_FUSED=0"):
        assert module._Kernels.of(on_cuda, None, False) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert module._Kernels.of(on_cuda, None, False) is None
    assert not can_fuse(on_cuda)


@pytest.mark.parametrize(("switch", "cuda"), itertools.product([None, "0"], [True, False]))
def test_the_environment_and_the_device_decide(
    switch: str | None, cuda: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(module.SWITCH, raising=False)
    if switch is not None:
        monkeypatch.setenv(module.SWITCH, switch)
    x = SimpleNamespace(is_cuda=cuda, dtype=torch.bfloat16)
    assert can_fuse(x) == (cuda and switch is None)
    assert not can_fuse(SimpleNamespace(is_cuda=True, dtype=torch.float64))
