"""Says what of a checkpoint is loaded, and raises where that cannot be what was meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner

from mmsmlp.checkpoints import check_weights
from mmsmlp.errors import CheckpointError
from mmsmlp.registry import HOOKS


@HOOKS.register_module()
class MatchedWeightsHook(Hook):
    """Checks what ``load_from`` or a resumption loads; mmengine loads what fits and goes on.

    Args:
        needs: What has to be there: the ``'whole'`` model, its ``'backbone'``, or ``'some'`` of
            it. A run that is resumed needs the whole.
    """

    def __init__(self, needs: str = "some") -> None:
        self.needs = needs

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check before anything is loaded."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        needs = "whole" if runner._resume else self.needs
        try:
            line, level = check_weights(model, checkpoint, needs)
        except CheckpointError as error:
            raise CheckpointError(f"cannot load {runner._load_from!r}: {error}") from error
        runner.logger.log(level, f"{line}; from {runner._load_from}")
        if isinstance(runner._test_loop, BaseLoop):
            meta = (checkpoint.get("meta") or {}).get("dataset_meta") or {}
            data_meta = getattr(runner.test_dataloader.dataset, "metainfo", {})
            if line := differing_classes(meta.get("classes"), data_meta.get("classes")):
                raise CheckpointError(f"{runner._load_from!r}: {line}")


def differing_classes(trained: Sequence[str] | None, tested: Sequence[str] | None) -> str | None:
    """What is wrong if classes of a checkpoint and of data have the same names at other labels.

    Args:
        trained: Classes of the checkpoint, if it names them.
        tested: Those of the data, if they name them.
    """
    if not trained or not tested or isinstance(trained, str) or isinstance(tested, str):
        return None
    places = {str(name).lower(): place for place, name in enumerate(trained)}
    names = (str(name).lower() for name in tested)
    if all(places.get(name, place) == place for place, name in enumerate(names)):
        return None
    return (
        f"the checkpoint has the classes {', '.join(map(str, trained[:10]))}, and the data set "
        f"{', '.join(map(str, tested[:10]))}: labels would mean other classes"
    )
