"""From sources to files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from mmengine.structures import BaseDataElement
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from mmsmlp.errors import UsageError, one_line

from .predictor import Predictor, Prepared
from .sources import Frame, Source, frames_of, quiet
from .tasks import Task
from .writing import Folder, Video, write_picture

T = TypeVar("T")


class Run:
    """Predictions on sources, and a word on each that fails.

    Args:
        predictor: The model.
        task: Its task.
        written: Where to write.

    Attributes:
        failed: Frames that failed, by source.
    """

    def __init__(self, predictor: Predictor, task: Task, written: Folder) -> None:
        self.predictor, self.task, self.written = predictor, task, written
        self.failed: dict[Source, int] = {}
        self.messages: list[str] = []
        self.no_videos: set[Path] = set()
        self.count = 0

    def process(self, batch: Sequence[Frame]) -> None:
        """Predict on a batch; if that fails, on its images one by one."""
        ready: list[tuple[Frame, Prepared]] = []
        for frame in batch:
            if frame.image is None:
                self._fail(frame, "cannot be decoded")
                continue
            try:
                with quiet():
                    ready.append((frame, self.predictor.prepare(frame.image)))
            except Exception as error:  # of a broken file, or of any step of a pipeline
                self._fail(frame, f"cannot be read or prepared ({one_line(error)})")
        if not ready:
            return
        try:
            samples = self.predictor.predict([prepared for _, prepared in ready])
        except Exception as error:  # such as too little memory for an image
            if len(batch) == 1:
                self._fail(ready[0][0], f"the model fails ({one_line(error)})")
                return
            for frame, _ in ready:
                self.process([frame])
            return
        for (frame, prepared), sample in zip(ready, samples, strict=True):
            self.count += 1
            self._write(frame, prepared, self.task.filter(sample))

    def _fail(self, frame: Frame, reason: str) -> None:
        source = frame.source
        where = f"frame {frame.index} of {source.path}" if source.is_stream else f"{source.path}"
        self.failed[source] = self.failed.get(source, 0) + 1
        if self.failed[source] == 1:  # of a stream, the last line has the number
            self.messages.append(f"skipped: {where} {reason}")

    def _write(self, frame: Frame, prepared: Prepared, sample: BaseDataElement) -> None:
        """Write the predictions on an image: the picture first, then its lines."""
        source, image, written = frame.source, prepared.picture, self.written
        entry: dict[str, Any] = dict(id=self.count, file_name=source.name)
        stem, vis = source.stem, written.path / "vis"
        try:
            picture = self.task.draw(image, sample)
        except Exception as error:  # a picture is not worth a run
            picture = image
            self.messages.append(f"not drawn: predictions on {source.path} ({one_line(error)})")
        if source.is_stream:
            entry["frame_id"] = frame.index
            stem = f"{stem}/{frame.index:06}"
            self._add(picture, source, vis / f"{stem}.png")
        else:
            written.end_video()
            write_picture(picture, vis / source.name)
        results = self.task.results(sample, written.path, stem)
        written.results.extend([dict(image_id=self.count, **result) for result in results])
        written.images.extend([dict(entry, height=image.shape[0], width=image.shape[1])])

    def _add(self, picture: np.ndarray, source: Source, alone: Path) -> None:
        """Append a picture to the video of its source, or write it alone if there can be none."""
        written = self.written
        path = written.path / "vis" / f"{source.stem}.mp4"
        try:
            if path not in self.no_videos and (written.video is None or written.video.path != path):
                written.end_video()
                written.video = Video(path, source.frames_a_second, picture.shape[:2])
        except UsageError as error:
            self.no_videos.add(path)
            self.messages.append(f"{error}; its frames are written as pictures")
        if path in self.no_videos:
            write_picture(picture, alone)
        else:
            written.video.add(picture)


def predict_all(
    sources: Sequence[Source],
    predictor: Predictor,
    task: Task,
    folder: Path,
    batch_size: int = 1,
) -> dict[Source, int]:
    """Predict on all sources; finished results are on the disk after any interruption.

    Args:
        sources: The sources.
        predictor: The model.
        task: Its task.
        folder: Existing folder to write to.
        batch_size: Of images.

    Returns:
        How many images failed, of the sources where some did; each is named on the terminal.
    """
    counts = [source.frames for source in sources]
    total = None if None in counts else sum(counts)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    with Folder(folder, task.categories()) as written, bar:
        run = Run(predictor, task, written)
        number = bar.add_task("predict", total=total)
        for batch in batches(frames_of(sources), batch_size):
            run.process(batch)
            for message in run.messages:
                bar.console.print(message, soft_wrap=True, markup=False)
            run.messages.clear()
            bar.advance(number, len(batch))
    return run.failed


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items, the last one perhaps of fewer."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
