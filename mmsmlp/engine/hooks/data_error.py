"""Says which image it is that cannot be loaded."""

from __future__ import annotations

from functools import partial
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

from mmsmlp.errors import RunError
from mmsmlp.registry import HOOKS


@HOOKS.register_module()
class DataErrorHook(Hook):
    """Ends a run with the name of the file where an image or its annotation cannot be loaded."""

    def before_train(self, runner: Runner) -> None:
        """Watch over training images."""
        _watch(runner.train_dataloader)

    def before_val(self, runner: Runner) -> None:
        """Watch over validation images."""
        _watch(runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Watch over test images."""
        _watch(runner.test_dataloader)


def _watch(loader: DataLoader) -> None:
    # Torch asks a data set for the images of a batch at once, if it has such a method.
    loader.dataset.__getitems__ = partial(load_images, loader.dataset)


def load_images(dataset: Dataset, indices: list[int]) -> list:
    """The images of a batch.

    Raises:
        RunError: If one cannot be loaded; the message says which.
    """
    return [_load(dataset, index) for index in indices]


def _load(dataset: Dataset, index: int) -> Any:
    try:
        return dataset[index]
    except Exception as error:
        # A file that is gone says so in few words, other errors in several lines.
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        message = f"cannot load {_name(dataset, index)}: {' '.join(reason.split())}"
        raise RunError(f"{message}; mend it or take it out of the data set") from error


def _name(dataset: Dataset, index: int) -> str:
    try:
        return repr(dataset.get_data_info(index)["img_path"])
    except Exception:  # not every data set has files
        return f"image {index} of {type(dataset).__name__}"
