"""How fast the machine multiplies matrices, by each of the three ways that torch has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from .clocks import seconds
from .passes import PRECISIONS

# Height and width of a map, channels in and out: large, and as in the networks at 800×1344.
PRODUCTS = {
    "cpu": [(64, 64, 1024, 1024), (100, 168, 160, 480), (50, 84, 320, 960)],
    "cuda": [(64, 64, 1024, 1024), (64, 128, 4096, 4096), (200, 336, 160, 480)],
}
# On a GPU, a single product is over before the next one can be launched.
REPEATS = {"cpu": 1, "cuda": 50}
WARM_UPS = 2

Rates = Mapping[str, Mapping[str, float]]


def forms(x: Tensor, weight: Tensor, height: int, width: int) -> dict[str, Callable[[], Tensor]]:
    """The same linear map of the same tokens, written in three ways.

    Args:
        x: ``(height * width, channels in)``.
        weight: ``(channels out, channels in)``.
        height: Of the map that the tokens form.
        width: Likewise.
    """
    transposed = weight.T.contiguous()
    image = x.view(1, height, width, -1).permute(0, 3, 1, 2)
    kernel = weight[:, :, None, None].contiguous(memory_format=torch.channels_last)
    return {
        "linear": lambda: F.linear(x, weight),
        "matmul": lambda: torch.matmul(x, transposed),
        "conv2d": lambda: F.conv2d(image, kernel),
    }


@torch.inference_mode()
def measure_rates(device: str, precision: str, rounds: int) -> dict[str, dict[str, float]]:
    """FLOP/s of every form and product, the forms in turn; medians over rounds."""
    rates: dict[str, dict[str, float]] = {}
    for height, width, channels, out in PRODUCTS[device]:
        options = dict(device=device, dtype=PRECISIONS[precision])
        x = torch.randn(height * width, channels, **options)
        weight = torch.randn(out, channels, **options)
        ways = forms(x, weight, height, width)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(WARM_UPS + rounds):
            for name, way in ways.items():
                times[name].append(seconds(lambda way=way: _repeat(way, REPEATS[device]), device))
        flops = 2 * height * width * channels * out * REPEATS[device]
        for name, values in times.items():
            rate = flops / median(values[WARM_UPS:])
            rates.setdefault(name, {})[f"{height * width}x{channels}x{out}"] = rate
    return rates


def _repeat(way: Callable[[], Tensor], times: int) -> None:
    for _ in range(times):
        way()


def best_by_form(rates: Rates) -> dict[str, float]:
    """The rate of each form at the product that suits it."""
    return {name: max(products.values()) for name, products in rates.items()}


def limit_of(rates: Rates) -> float:
    """The machine's limit: the best of all rates."""
    return max(best_by_form(rates).values())
