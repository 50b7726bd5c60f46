"""Attention-free vision backbones for OpenMMLab."""

# Nothing that can fail is imported here: mmengine hides import errors of `mmsmlp` and
# `mmsmlp.registry` (it logs them at DEBUG level), so neither may have any.
from mmsmlp import ops as ops

__version__ = "0.1.0"
