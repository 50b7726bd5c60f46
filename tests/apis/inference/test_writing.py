"""Files that are whole at every moment."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmsmlp.apis.inference.writing import Folder, GrowingList, Video, write_picture
from mmsmlp.errors import CheckpointError, UsageError

APPEND = """
import sys
from mmsmlp.apis.inference.writing import GrowingList

growing = GrowingList(__import__("pathlib").Path(sys.argv[1]), dict(head=[1]), "items")
for number in range(10**9):
    growing.extend([dict(number=number, text="x" * (number % 1000))])
    if number == 300:
        print("on its way", flush=True)
"""


def test_a_list_is_valid_after_each_item(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    growing = GrowingList(path)
    items: list = []
    for batch in ([], [1], [], ["é", {"a": [2]}], [None]):
        growing.extend(batch)
        items += batch
        assert json.loads(path.read_text()) == items
    growing.close()


def test_a_list_may_stand_beside_something(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    growing = GrowingList(path, dict(categories=[dict(id=1)]), "images")
    assert json.loads(path.read_text()) == dict(categories=[dict(id=1)], images=[])
    growing.extend([3, 4])
    growing.close()
    assert json.loads(path.read_text()) == dict(categories=[dict(id=1)], images=[3, 4])


def test_a_killed_process_leaves_a_valid_list(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    command = [sys.executable, "-c", APPEND, str(path)]
    root = str(Path(__file__).parents[3])
    environment = os.environ | dict(PYTHONPATH=root)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as child:
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    items = json.loads(path.read_text())["items"]
    assert len(items) > 300
    assert [item["number"] for item in items] == list(range(len(items)))


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    growing = GrowingList(path)
    growing.extend(["a", "b"])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left") as error:
            growing.extend(["c" * 100])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.filename == str(path)
    assert json.loads(path.read_text()) == ["a", "b"]


def test_a_picture_is_written_atomically(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    write_picture(image, tmp_path / "new" / "a.png")
    assert (cv2.imread(str(tmp_path / "new" / "a.png")) == image).all()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"cannot write '.*b.png': File too large"):
            write_picture(image, tmp_path / "new" / "b.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_a_video_has_its_name_when_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "vis" / "clip.mp4"
    video = Video(path, 10, (24, 32))
    for value in (40, 200):
        video.add(np.full((24, 32, 3), value, dtype=np.uint8))
    assert not path.exists()
    video.close()
    assert [one.name for one in path.parent.iterdir()] == ["clip.mp4"]
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == 10
    means = [capture.read()[1].mean() for _ in range(2)]
    np.testing.assert_allclose(means, [40, 200], atol=5)
    assert not capture.read()[0]


def test_a_video_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write the video '.*clip.mp4'"):
        Video(tmp_path / "clip.mp4", 10, (0, 0))


def test_an_error_ends_the_video_and_keeps_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Folder(tmp_path, []) as folder:
        folder.video = Video(tmp_path / "clip.mp4", 10, (24, 32))
        folder.video.add(np.zeros((24, 32, 3), dtype=np.uint8))
        raise KeyboardInterrupt
    assert cv2.VideoCapture(str(tmp_path / "clip.mp4")).read()[0]
