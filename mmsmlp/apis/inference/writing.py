"""Files of predictions, written atomically."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np

from mmsmlp.checkpoints.io import PARTIAL, write_atomically
from mmsmlp.errors import UsageError

from .sources import quiet


class GrowingList:
    """A JSON file that ends in a list, and is valid whenever the process ends.

    Args:
        path: The file.
        before: Other contents of the file by name; without it, the file is the list.
        name: Name of the list, if there are other contents.
    """

    def __init__(
        self, path: Path, before: Mapping[str, Any] | None = None, name: str | None = None
    ) -> None:
        head, self.tail = "[", b"\n]\n"
        if before is not None:
            head = f"{json.dumps(before)[:-1]}, {json.dumps(name)}: ["
            self.tail = b"\n]}\n"
        self.file = path.open("wb", buffering=0)
        self.file.write(head.encode() + self.tail)
        self.separator = b"\n"

    def extend(self, items: Sequence[Any]) -> None:
        """Append items."""
        if not items:
            return
        text = ",\n".join(json.dumps(item) for item in items).encode()
        data = self.separator + text + self.tail
        end = self.file.seek(-len(self.tail), os.SEEK_END)
        # One call of the system, which a signal does not tear.
        if self.file.write(data) < len(data):  # the disk is full
            self.file.truncate(end)
            self.file.seek(end)
            self.file.write(self.tail)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.file.name)
        self.separator = b",\n"

    def close(self) -> None:
        """Give the file back."""
        self.file.close()


def write_picture(image: np.ndarray, path: Path) -> Path:
    """Write an image atomically, as PNG if its format cannot store it.

    Args:
        image: ``(H, W, 3)`` in BGR, or ``(H, W)``.
        path: The file; its folder is made if need be.

    Returns:
        Path of the written file.

    Raises:
        CheckpointError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with quiet():
            is_done, data = cv2.imencode(path.suffix, image)
    except cv2.error:  # such as colours in a PGM, or more pixels than a JPEG may have
        is_done = False
    if not is_done:
        path = path.with_name(f"{path.name}.png")
        _, data = cv2.imencode(".png", image)
    write_atomically(data.tobytes(), path)
    return path


class Video:
    """A video that gets its name when it is closed.

    Args:
        path: The file, which ends in ``.mp4``; its folder is made if need be.
        frames_a_second: Its frame rate.
        size: Height and width of its frames.

    Raises:
        UsageError: If it cannot be written.
    """

    def __init__(self, path: Path, frames_a_second: float, size: tuple[int, int]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.size = path, size[::-1]
        # OpenCV chooses the format by the end of the name.
        self.temporary = path.with_name(f".{path.stem}.{os.getpid()}{PARTIAL}{path.suffix}")
        codec = cv2.VideoWriter_fourcc(*"mp4v")
        self.writer = cv2.VideoWriter(str(self.temporary), codec, frames_a_second, self.size)
        if not self.writer.isOpened():
            raise UsageError(f"cannot write the video {str(path)!r}")

    def add(self, frame: np.ndarray) -> None:
        """Append a frame ``(H, W, 3)`` in BGR, in the size of the first."""
        self.writer.write(mmcv.imresize(frame, self.size))

    def close(self) -> None:
        """End the video."""
        self.writer.release()
        os.replace(self.temporary, self.path)


class Folder:
    """The folder that predictions go into.

    ``vis`` holds pictures and videos, ``images.json`` numbers all images, and ``results.json`` is a
    list of their predictions.

    Args:
        path: Of the existing folder.
        categories: Of the results, as ``images.json`` lists them.
    """

    def __init__(self, path: Path, categories: Sequence[Mapping[str, Any]]) -> None:
        self.path = path
        self.images = GrowingList(path / "images.json", dict(categories=categories), "images")
        self.results = GrowingList(path / "results.json")
        self.video: Video | None = None

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_video()
        self.images.close()
        self.results.close()

    def end_video(self) -> None:
        """Close the current video, if there is one."""
        if self.video is not None:
            self.video.close()
            self.video = None
