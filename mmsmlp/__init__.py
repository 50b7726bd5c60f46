"""Attention-free vision backbones for OpenMMLab."""

# Nothing is imported here: mmengine hides import errors of `mmsmlp` and
# `mmsmlp.registry` (it logs them at DEBUG level), so neither may have any.
__version__ = "0.1.0"
