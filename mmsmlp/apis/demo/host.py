"""Serves visitors one after another, with few models in memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from mmsmlp.engine.runner import check_checkpoint, read_config
from mmsmlp.errors import UsageError

from .choices import Choice
from .fields import as_html
from .findings import Findings, describe
from .images import read_image
from .models import Model

T = TypeVar("T")
# Two are compared with each other.
MODELS = 2


class Wish(NamedTuple):
    """What a visitor has set for a pass; nothing of it is kept."""

    image: str | None
    choice: str
    resolution: int | None = None
    axial_mode: str | None = None


class Answer(NamedTuple):
    """A picture of what was found, and words about it."""

    picture: np.ndarray
    findings: Findings
    about: str


class Host:
    """Runs models for visitors.

    All passes run in one thread, one after another: two of them would share the cores, the memory
    and the mode of a model, and each further thread would keep memory of its own.

    Args:
        choices: What may be chosen, by name.
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

    def predict(self, wish: Wish, threshold: float) -> Answer:
        """What a model finds in an image; objects of a detector count above a threshold.

        Raises:
            UsageError: With a sentence for the visitor.
            CheckpointError: Likewise.
        """
        return self._run(lambda: self._predict(wish, threshold))

    def fields(self, wish: Wish, point: tuple[int, int]) -> str:
        """The effective receptive field of a point of the image, as HTML.

        Args:
            wish: What is set.
            point: Column and row in pixels of the image.

        Raises:
            UsageError: With a sentence for the visitor.
            CheckpointError: Likewise.
        """
        return self._run(lambda: self._fields(wish, point))

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

    def _predict(self, wish: Wish, threshold: float) -> Answer:
        image = read_image(wish.image)
        model = self._model(wish.choice)
        prediction = model.predict(image, wish.resolution, wish.axial_mode)
        height, width = prediction.input_size
        about = f"{prediction.seconds:.2f} s a pass, input {width}x{height} pixels"
        if prediction.reduced:
            about += " (the most that is taken)"
        if wish.axial_mode and not model.has_axial_maps:
            about += ", no axial maps"
        return Answer(
            model.draw(prediction, threshold),
            describe(prediction, model.classes, threshold),
            about,
        )

    def _fields(self, wish: Wish, point: tuple[int, int]) -> str:
        image = read_image(wish.image)
        model = self._model(wish.choice)
        height, width = image.shape[:2]
        at = tuple(
            (min(max(position, 0), length - 1) + 0.5) / length
            for position, length in ((point[1], height), (point[0], width))
        )
        fields = model.fields(image, at, wish.resolution, wish.axial_mode)
        title = f"{wish.choice}, {wish.axial_mode}" if wish.axial_mode else wish.choice
        return as_html(title, image, fields, at)


def _tidy(job: Callable[[], T]) -> T:
    """Do a job, and hand back the memory that it took: glibc would keep that of the largest."""
    try:
        return job()
    finally:
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
            trim(0)
