"""What the words of a user name."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmsmlp.apis.inference.sources import frames_of, sources_of
from mmsmlp.errors import UsageError

SIZE = (24, 32)


def picture(value: int) -> np.ndarray:
    return np.full((*SIZE, 3), value, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images in two folders, a video, and a file of neither kind."""
    monkeypatch.chdir(tmp_path)
    for name in ("a/1.png", "a/2.JPG", "b/1.png", "b/1.jpg"):
        Path(name).parent.mkdir(exist_ok=True)
        cv2.imwrite(name, picture(50))
    Path("a/notes.txt").touch()
    Path("empty").mkdir()
    writer = cv2.VideoWriter("b/clip.avi", cv2.VideoWriter_fourcc(*"MJPG"), 10, SIZE[::-1])
    for value in (40, 120, 200):
        writer.write(picture(value))
    writer.release()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["a"], ["1.png", "2.JPG"]),
        (["a", "a/1.png"], ["1.png", "2.JPG"]),
        (["a/1.png", "b/1.png"], ["a/1.png", "b/1.png"]),
        (["*/*.png"], ["a/1.png", "b/1.png"]),
        (["**/1.*"], ["a/1.png", "b/1.jpg", "b/1.png"]),
        (["b/clip.avi", "b/1.jpg"], ["clip.avi", "1.jpg"]),
    ],
)
def test_files_folders_and_patterns_name_images(
    folder: Path, words: list[str], names: list[str]
) -> None:
    sources = sources_of(words)
    assert [source.name for source in sources] == names
    assert len({source.stem for source in sources}) == len(sources)
    common = os.path.commonpath([source.path.parent for source in sources])
    assert [source.path for source in sources] == [Path(common, name) for name in names]


def test_stems_stand_apart(folder: Path) -> None:
    stems = {source.name: source.stem for source in sources_of(["a", "b"])}
    assert stems == {
        "a/1.png": "a/1",
        "a/2.JPG": "a/2",
        "b/1.jpg": "b/1.jpg",
        "b/1.png": "b/1.png",
    }


def test_a_video_has_its_frames_in_order(folder: Path) -> None:
    (source,) = sources_of(["b/clip.avi"])
    assert source.is_stream and source.frames == 3 and source.frames_a_second == 10
    frames = list(frames_of([source]))
    assert [frame.index for frame in frames] == [0, 1, 2]
    np.testing.assert_allclose([frame.image.mean() for frame in frames], [40, 120, 200], atol=3)


def test_a_webcam_is_read_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    class Webcam:
        """Two images, and no word on how many, or how fast."""

        def __init__(self, number: int) -> None:
            assert number == 3
            self.images = [picture(1), picture(2)]

        def isOpened(self) -> bool:
            return True

        def get(self, what: int) -> float:
            return -1.0

        def read(self) -> tuple[bool, np.ndarray | None]:
            return (True, self.images.pop(0)) if self.images else (False, None)

        def release(self) -> None:
            pass

    monkeypatch.setattr("cv2.VideoCapture", Webcam)
    (source,) = sources_of(["3"])
    assert (source.name, source.frames, source.frames_a_second) == ("webcam3", None, 25)
    assert [frame.image.max() for frame in frames_of([source])] == [1, 2]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nowhere.jpg", r"there is no image, video or folder 'nowhere.jpg' \(looked in "),
        ("a/notes.txt", r"'a/notes.txt' is neither an image \(.bmp, .*\) nor a video \(.avi, "),
        ("empty", r"there is no image \(.bmp, .*\) in the folder 'empty'"),
        ("a/*.gif", r"no image or video matches 'a/\*.gif'"),
        ("broken.mp4", r"'.*broken.mp4' is no video that OpenCV can read"),
        ("77", "there is no webcam 77, or something else uses it"),
    ],
)
def test_an_unknown_source_is_named(
    folder: Path, word: str, message: str, capfd: pytest.CaptureFixture
) -> None:
    Path("broken.mp4").write_bytes(b"nothing of the kind")
    with pytest.raises(UsageError, match=message):
        sources_of(["a", word])
    assert capfd.readouterr().err == ""
