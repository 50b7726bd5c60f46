"""Mixed precision where there is no GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import autocast
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from mmsmlp.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Mixed precision for CPUs in bfloat16, like mmengine's ``AmpOptimWrapper`` for GPUs.

    The range of bfloat16 is that of single precision, so no loss needs to be scaled. It has an
    eighth of float16's resolution, so box coordinates are computed in single precision, which
    mmcv's NMS and RoIAlign need, too.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Where the forward pass runs."""
        with ExitStack() as stack:
            for module in model.modules():
                if hasattr(module, "roi_layers"):  # an extractor: it rounds boxes to its maps' type
                    stack.enter_context(module.register_forward_pre_hook(_single_inputs))
                elif hasattr(module, "predict_by_feat"):  # a head
                    stack.enter_context(module.register_forward_hook(_single_outputs))
            stack.enter_context(super().optim_context(model))
            stack.enter_context(autocast(dtype=torch.bfloat16))
            yield


def _single(tree: Any) -> Any:
    def single(x: Any) -> Any:
        return x.float() if isinstance(x, Tensor) and x.dtype is torch.bfloat16 else x

    return tree_map(single, tree)


def _single_inputs(module: nn.Module, inputs: tuple) -> tuple:
    return _single(inputs)


def _single_outputs(module: nn.Module, inputs: tuple, outputs: Any) -> Any:
    return _single(outputs)
