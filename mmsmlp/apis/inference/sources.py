"""Inputs of predictions: image files, videos and webcams."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mmsmlp.errors import UsageError

IMAGES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
# FFmpeg reads it once; errors are reported by this package only.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
FRAMES_A_SECOND = 25  # of a stream that does not say
# So many frames in a row that cannot be read are its end.
MAX_GAP = 250


@dataclass(frozen=True)
class Source:
    """An image, a video or a webcam.

    Attributes:
        path: Of the file, or the number of a webcam.
        name: Its path below the folder that all files have in common.
        stem: That without its suffix, where no other source has the same.
        frames: How many images it holds; None if that is unknown.
        frames_a_second: Its speed; None of an image.
    """

    path: Path | int
    name: str
    stem: str
    frames: int | None = 1
    frames_a_second: float | None = None

    @property
    def is_stream(self) -> bool:
        """Whether it may have many frames."""
        return is_stream(self.path)


@dataclass(frozen=True)
class Frame:
    """An image, alone or of a stream.

    Attributes:
        source: Its source.
        index: Its number within the stream.
        image: Path of a file, or ``(H, W, 3)`` in BGR; None of a frame that cannot be read.
    """

    source: Source
    index: int
    image: Path | np.ndarray | None


def sources_of(words: Sequence[str]) -> list[Source]:
    """The sources that paths of files and folders, patterns, and numbers of webcams name.

    Args:
        words: As a user gives them.

    Returns:
        Each source once, in the order given.

    Raises:
        UsageError: If one is missing, or cannot be read.
    """
    paths = list(dict.fromkeys(path for word in words for path in _paths_of(word)))
    files = [path for path in paths if isinstance(path, Path)]
    common = os.path.commonpath([path.parent for path in files]) if files else ""
    names = [
        f"webcam{path}" if isinstance(path, int) else os.path.relpath(path, common)
        for path in paths
    ]
    stems = [os.path.splitext(name)[0] for name in names]
    times = Counter(stems)
    return [
        Source(path, name, stem if times[stem] == 1 else name, *_extent(path))
        for path, name, stem in zip(paths, names, stems, strict=True)
    ]


def is_stream(path: Path | int) -> bool:
    """Whether a path is that of a video, or the number of a webcam."""
    return isinstance(path, int) or path.suffix.lower() in VIDEOS


def _extent(path: Path | int) -> tuple[int | None, float | None]:
    """How many frames, and how many a second."""
    if not is_stream(path):
        return 1, None
    capture = opened(path)
    frames, speed = (capture.get(value) for value in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS))
    capture.release()
    return int(frames) if frames > 0 else None, speed if speed > 0 else FRAMES_A_SECOND


def _paths_of(word: str) -> list[Path | int]:
    path = Path(os.path.abspath(word))
    if path.is_dir():
        found = sorted(
            child
            for child in path.iterdir()
            if child.suffix.lower() in IMAGES and not child.name.startswith(".")
        )
        if not found:
            raise UsageError(f"there is no image ({', '.join(IMAGES)}) in the folder {word!r}")
        return [*found]
    if path.is_file():
        if path.suffix.lower() not in IMAGES + VIDEOS:
            raise UsageError(
                f"{word!r} is neither an image ({', '.join(IMAGES)}) nor a video "
                f"({', '.join(VIDEOS)})"
            )
        return [path]
    if word.isdecimal():
        return [int(word)]
    if any(character in word for character in "*?["):
        matches = [Path(os.path.abspath(match)) for match in glob.glob(word, recursive=True)]
        found = sorted(match for match in matches if match.suffix.lower() in IMAGES + VIDEOS)
        if not found:
            raise UsageError(f"no image or video matches {word!r} (looked in {Path.cwd()})")
        return [*found]
    raise UsageError(f"there is no image, video or folder {word!r} (looked in {Path.cwd()})")


def opened(path: Path | int) -> cv2.VideoCapture:
    """A stream, to be read.

    Raises:
        UsageError: If it cannot be.
    """
    with quiet():
        capture = cv2.VideoCapture(path if isinstance(path, int) else str(path))
    if not capture.isOpened():
        if isinstance(path, int):
            raise UsageError(f"there is no webcam {path}, or something else uses it")
        raise UsageError(f"{str(path)!r} is no video that OpenCV can read")
    return capture


@contextmanager
def quiet() -> Iterator[None]:
    """Within, OpenCV writes nothing to the terminal."""
    level = cv2.setLogLevel(0)
    try:
        yield
    finally:
        cv2.setLogLevel(level)


def frames_of(sources: Sequence[Source]) -> Iterator[Frame]:
    """All images of sources."""
    for source in sources:
        if source.is_stream:
            yield from _frames_of_stream(source)
        else:
            yield Frame(source, 0, source.path)


def _frames_of_stream(source: Source) -> Iterator[Frame]:
    """Frames of a stream, as many as its header declares; some may not be decoded."""
    capture = opened(source.path)
    gap: list[Frame] = []
    index = 0
    try:
        while source.frames is None or index < source.frames:
            image = capture.read()[1]
            if image is None:
                gap.append(Frame(source, index, None))
                if source.frames is None or len(gap) > MAX_GAP:
                    break
            else:
                yield from gap
                gap = []
                yield Frame(source, index, image)
            index += 1
        while source.frames is not None and (image := capture.read()[1]) is not None:
            yield Frame(source, index, image)  # more than its header declares
            index += 1
    finally:
        capture.release()
    yield from gap if source.frames is not None or not index else ()
