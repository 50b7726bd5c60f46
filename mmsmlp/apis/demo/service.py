"""Serves visitors one after another, with few models in memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from mmsmlp.engine.runner import check_checkpoint, read_config
from mmsmlp.errors import UsageError

from .fields import as_html
from .images import check_image
from .models import Model
from .summary import Summary, describe

T = TypeVar("T")
# Two are compared with each other.
MODELS = 2


class Choice(NamedTuple):
    """A config and a checkpoint of its model."""

    config: str
    checkpoint: str


def find_choices(work_dirs: Path) -> dict[str, Choice]:
    """The checkpoints of trainings, newest first, by work directory and name.

    Args:
        work_dirs: Folder of the work directories; it need not be there.
    """
    found = {}
    for folder in sorted(path for path in work_dirs.glob("*") if path.is_dir()):
        configs = _newest_first(folder.glob("*.py"))
        for checkpoint in _newest_first(folder.glob("*.pth")):
            if configs:  # as a training wrote it last
                name = f"{folder.name} / {checkpoint.stem}"
                found[name] = Choice(str(configs[0]), str(checkpoint))
    return found


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: (-path.stat().st_mtime_ns, path.name))


class Request(NamedTuple):
    """A visitor's settings for a pass; they are not stored."""

    image: str | None
    choice: str
    resolution: int | None = None


class Answer(NamedTuple):
    """A picture of the predictions, and a text."""

    picture: np.ndarray
    summary: Summary
    about: str


class PredictionService:
    """Runs models for visitors.

    All passes run in one thread, one after another: two passes would share the cores and the
    memory, and each thread would keep its own memory.

    Args:
        choices: The models to choose from, by name.
        device: Such as ``'cpu'``.
    """

    def __init__(self, choices: Mapping[str, Choice], device: str) -> None:
        self.choices = dict(choices)
        self._device = device
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passes")
        self._model = lru_cache(MODELS)(self._load)

    def load(self, name: str) -> str:
        """Load a model before it is asked for; one line on its weights."""
        return self._run(lambda: self._model(name).summary)

    def predict(self, request: Request, threshold: float) -> Answer:
        """Predict on an image; a detector's objects count above a threshold.

        Raises:
            UsageError: With a sentence for the visitor.
            CheckpointError: If the checkpoint does not fit.
        """
        return self._run(lambda: self._predict(request, threshold))

    def fields(self, request: Request, point: tuple[int, int]) -> str:
        """The effective receptive field of a point of the image, as HTML.

        Args:
            request: The settings.
            point: Column and row in pixels of the image.

        Raises:
            UsageError: With a sentence for the visitor.
            CheckpointError: If the checkpoint does not fit.
        """
        return self._run(lambda: self._fields(request, point))

    def _run(self, job: Callable[[], T]) -> T:
        try:
            return self._thread.submit(_tidy, job).result()
        except torch.cuda.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise UsageError("Out of memory: choose a lower resolution.") from error

    def _load(self, name: str) -> Model:
        if name not in self.choices:
            raise UsageError(f"There is no model {name!r}.")
        choice = self.choices[name]
        check_checkpoint(choice.checkpoint)
        return Model(read_config(choice.config), choice.checkpoint, self._device)

    def _predict(self, request: Request, threshold: float) -> Answer:
        path = check_image(request.image)
        model = self._model(request.choice)
        prediction = model.predict(path, request.resolution)
        height, width = prediction.input_size
        about = f"{prediction.seconds:.2f} s a pass, input {width}x{height} pixels"
        if prediction.reduced:
            about += " (the most that is taken)"
        return Answer(
            model.draw(prediction, threshold),
            describe(prediction, model.classes, threshold),
            about,
        )

    def _fields(self, request: Request, point: tuple[int, int]) -> str:
        path = check_image(request.image)
        model = self._model(request.choice)
        found = model.fields(path, point, request.resolution)
        return as_html(request.choice, found.image, found.stages, found.at)


def _tidy(job: Callable[[], T]) -> T:
    """Do a job, and hand back the memory that it took: glibc would keep that of the largest."""
    try:
        return job()
    finally:
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
            trim(0)
