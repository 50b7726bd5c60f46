"""Disable autocast locally."""

from __future__ import annotations

import torch
from torch import Tensor


def without_autocast(x: Tensor) -> torch.autocast:
    """A context in which autocast leaves operations on the device of ``x`` alone."""
    return torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False)
