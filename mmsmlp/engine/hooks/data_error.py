"""Names the image, or the step of the pipeline, where data cannot be loaded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from traceback import walk_tb
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from torch.utils.data import Dataset

from mmsmlp.errors import RunError
from mmsmlp.registry import HOOKS


@HOOKS.register_module()
class DataErrorHook(Hook):
    """Ends a run in one line where a sample cannot be loaded: which file, which step, why."""

    def before_run(self, runner: Runner) -> None:
        """Watch the images of all loops that there are."""
        for loop in (runner._train_loop, runner._val_loop, runner._test_loop):
            if isinstance(loop, BaseLoop):
                name_broken_images(loop.dataloader.dataset)


def name_broken_images(dataset: Dataset) -> None:
    """From now on, let errors of a data set in a data loader name the image and the cause."""
    # Torch asks a data set for the images of a batch at once, if it has such a method.
    vars(dataset).setdefault("__getitems__", partial(load_images, dataset))


def load_images(dataset: Dataset, indices: list[int]) -> list:
    """The samples of a batch.

    Raises:
        RunError: If one cannot be loaded.
    """
    return [_load(dataset, index) for index in indices]


def _load(dataset: Dataset, index: int) -> Any:
    try:
        return dataset[index]
    except Exception as error:
        raise RunError(_explain(error, f"sample {index} of {type(dataset).__name__}")) from error


def _explain(error: Exception, sample: str) -> str:
    """One line: the image as the innermost step had it, the step if it is no loading, the cause."""
    step = None
    for frame, _ in walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self")
        step = owner if isinstance(owner, BaseTransform) else step
        for name in ("results", "data_info", "data"):
            value = frame.f_locals.get(name)
            if isinstance(value, Mapping) and isinstance(value.get("img_path"), str):
                sample = repr(value["img_path"])
    # The error of a missing file is short, other errors have several lines.
    reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
    reason = " ".join(reason.split())
    missing = getattr(error, "filename", None)
    if missing and repr(str(missing)) != sample:
        reason += f": {str(missing)!r}"
    name = type(step).__name__
    if step is not None and not name.startswith("Load"):
        return f"{name} of the pipeline fails for {sample}: {reason}"
    is_of_file = isinstance(error, OSError) or not (step is None or isinstance(error, ImportError))
    advice = "; fix the file or leave it out of the data set" if is_of_file else ""
    return f"cannot load {sample}: {reason}{advice}"
