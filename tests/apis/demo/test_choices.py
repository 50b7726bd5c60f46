"""Checkpoints of work directories."""

import os
from pathlib import Path

from mmsmlp.apis.demo import Choice, find_choices


def test_checkpoints_come_newest_first_with_the_config_written_last(tmp_path: Path) -> None:
    written = ["b/old.py", "b/new.py", "b/iter_2.pth", "b/iter_10.pth", "a/a.py", "a/epoch_1.pth"]
    written += ["c/iter_1.pth", "d/d.py", "stray.pth"]
    for i, name in enumerate(written):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (i, i))
    config = str(tmp_path / "b" / "new.py")
    assert list(find_choices(tmp_path).items()) == [
        ("a / epoch_1", Choice(str(tmp_path / "a/a.py"), str(tmp_path / "a/epoch_1.pth"))),
        ("b / iter_10", Choice(config, str(tmp_path / "b/iter_10.pth"))),
        ("b / iter_2", Choice(config, str(tmp_path / "b/iter_2.pth"))),
    ]


def test_without_work_directories_there_is_nothing_to_choose(tmp_path: Path) -> None:
    assert find_choices(tmp_path / "nowhere") == {}
