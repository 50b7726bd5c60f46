"""The tool that downloads published weights."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmsmlp.errors import CheckpointError, UsageError
from mmsmlp.weights import WEIGHTS

sys.path.append(str(Path(__file__).parents[2] / "tools"))
import download as tool

NAME = "cyclemlp_b2_in1k"
ARCH = dict(embed_dims=(8, 16, 24, 32), depths=(1, 2, 1, 1), mlp_ratios=(4, 4, 4, 4))


@pytest.fixture
def folder(tmp_path: Path, cyclemlp_weights: dict, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Holds a small CycleMLP of the authors' layout in the place of B2; nothing else answers."""
    (tmp_path / "theirs").mkdir()
    torch.save({"model": cyclemlp_weights}, tmp_path / "theirs/CycleMLP_B2.pth")
    url = (tmp_path / "server/CycleMLP_B2.pth").as_uri()
    monkeypatch.setitem(WEIGHTS, NAME, replace(WEIGHTS[NAME], arch=ARCH, url=url))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("MMSMLP_WEIGHTS", str(tmp_path / "theirs"))
    return tmp_path


@pytest.fixture
def download(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def main(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["download", *map(str, arguments)])
        tool.main()

    return main


@pytest.mark.parametrize("name", [NAME, f"mmsmlp://{NAME}"])
def test_a_file_in_the_users_folder_is_found_and_its_source_printed(
    folder: Path, download: Callable, capsys: pytest.CaptureFixture, name: str
) -> None:
    download(name)
    where, facts = capsys.readouterr().out.splitlines()
    assert where == f"{NAME}: {folder}/theirs/CycleMLP_B2.pth"
    assert "top-1 81.6 % as ShoufaChen/CycleMLP prints" in facts and "licence MIT" in facts
    assert facts.endswith(f"checkpoint='mmsmlp://{NAME}'")


def test_out_names_the_folder_that_is_downloaded_to(
    folder: Path, download: Callable, capsys: pytest.CaptureFixture
) -> None:
    shutil.copytree(folder / "theirs", folder / "server")
    (folder / "out").mkdir()
    download(NAME, "--out", folder / "out")
    assert f"{NAME}: {folder}/out/CycleMLP_B2.pth" in capsys.readouterr().out
    expected = (folder / "theirs/CycleMLP_B2.pth").read_bytes()
    assert (folder / "out/CycleMLP_B2.pth").read_bytes() == expected


def test_an_unreachable_server_a_bad_folder_and_an_unknown_name_are_reported(
    folder: Path, download: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MMSMLP_WEIGHTS")
    with pytest.raises(CheckpointError, match=r"cannot download file://.*hub/checkpoints/CycleMLP"):
        download(NAME)
    (folder / "a file").write_text("")
    with pytest.raises(UsageError, match="--out"):
        download(NAME, "--out", folder / "a file")
    with pytest.raises(CheckpointError, match="nearest: cyclemlp_b2_in1k"):
        download("cyclemlp_b2_in2k")
