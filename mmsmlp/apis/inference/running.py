"""From sources to files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as Bar
from rich.text import Text

from .predictors import Predictor
from .sources import Frame, Source, frames_of
from .tasks import Task
from .writing import Folder, Video, write_picture

T = TypeVar("T")


class Speed(ProgressColumn):
    """Images a second."""

    def render(self, task: Bar) -> Text:
        """Show it."""
        return Text(f"{task.finished_speed or task.speed or 0:.1f} images/s")


def predict_all(
    sources: Sequence[Source],
    predict: Predictor,
    task: Task,
    folder: Path,
    batch_size: int = 1,
) -> list[Source]:
    """Predict on all sources; what is done is on the disk, however it ends.

    Args:
        sources: The sources.
        predict: The model.
        task: What it is for.
        folder: Where to write; it is there.
        batch_size: Of images.

    Returns:
        The sources that could not be read.
    """
    broken: list[Source] = []
    counts = [source.frames for source in sources]
    total = None if None in counts else sum(counts)
    bar = Progress(
        TextColumn("predict"),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with Folder(folder, task.categories()) as written, bar:
        number = bar.add_task("", total=total)
        count = 0
        for batch in batches(frames_of(sources), batch_size):
            there = [frame for frame in batch if frame.image is not None]
            for frame in batch:
                if frame.image is None:
                    broken.append(frame.source)
                    bar.console.print(
                        f"skipped: {frame.source.path} cannot be read", soft_wrap=True
                    )
            found = predict([frame.image for frame in there]) if there else []
            for frame, prediction in zip(there, found, strict=True):
                count += 1
                write(frame, task.kept(prediction), task, written, count)
            bar.advance(number, len(batch))
    return broken


def write(frame: Frame, prediction: Any, task: Task, written: Folder, number: int) -> None:
    """Write what was found in an image: the picture first, then its lines.

    Args:
        frame: The image.
        prediction: What of it is kept.
        task: What the prediction is for.
        written: Where to write.
        number: Of the image, among all.
    """
    source, image = frame.source, frame.image
    entry: dict[str, Any] = dict(id=number, file_name=source.name)
    stem, vis = source.stem, written.path / "vis"
    if source.is_stream:
        entry["frame_id"] = frame.index
        stem = f"{stem}/{frame.index:06}"
    picture = task.drawn(image, prediction)
    if source.is_stream:
        if not frame.index:
            written.end_video()
            path = vis / f"{source.stem}.mp4"
            written.video = Video(path, source.frames_a_second, image.shape[:2])
        written.video.add(picture)
    else:
        written.end_video()
        write_picture(picture, vis / source.name)
    results = task.results(prediction, written.path, stem)
    written.results.extend([dict(image_id=number, **result) for result in results])
    written.images.extend([dict(entry, height=image.shape[0], width=image.shape[1])])


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items, the last one perhaps of fewer."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
