"""The command that opens the page; the page itself is tested in tests/demo."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

import demo
from mmsmlp.apis.demo import Choice
from mmsmlp.errors import UsageError


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command is about to serve; no model is loaded and nothing is served."""
    found: dict[str, Any] = {}
    monkeypatch.setitem(sys.modules, "gradio", importlib.import_module("types"))
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # to be as it was in the end

    class PredictionService:
        def __init__(self, choices: dict[str, Choice], device: str) -> None:
            found.update(choices=choices, device=device)

        def load(self, name: str) -> str:
            return "all of it"

    def serve(host: PredictionService, examples: list[str], address: str, port: int | None) -> None:
        found.update(examples=examples, address=address, port=port)
        found["there"] = [Path(path).is_file() for path in examples]

    monkeypatch.setattr(demo, "PredictionService", PredictionService)
    monkeypatch.setattr(demo, "serve", serve)
    return found


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["demo", *map(str, arguments)])
    demo.main()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    work_dir = tmp_path / "work_dirs" / "mine"
    work_dir.mkdir(parents=True)
    Config(dict(model=dict())).dump(work_dir / "config.py")
    (work_dir / "iter_1.pth").touch()
    return tmp_path


def test_the_named_model_comes_first_and_once(
    folder: Path, served: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = Choice("work_dirs/mine/config.py", "work_dirs/mine/iter_1.pth")
    run(monkeypatch, *named, "--device", "cpu")
    assert served["choices"] == {"config / iter_1": named}
    assert (served["address"], served["port"], served["device"]) == ("127.0.0.1", None, "cpu")
    assert served["there"] == [True] * 6  # rendered, for the config has no images


def test_work_directories_suffice(
    folder: Path, served: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "image.png").touch()
    run(monkeypatch, "--examples", "image.png", "--host", "0.0.0.0", "--port", 8000)
    assert list(served["choices"]) == ["mine / iter_1"]
    assert served["examples"] == ["image.png"]
    assert (served["address"], served["port"]) == ("0.0.0.0", 8000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["config.py"], "name a checkpoint of config.py, too"),
        (["--work-dirs", "nowhere"], "name a config and a checkpoint: there are none in nowhere"),
        (["--examples", "no.png"], "there is no image 'no.png'"),
        (["nothing.py", "nothing.pth"], "config 'nothing.py' does not exist"),
    ],
)
def test_missing_files_are_an_error_of_one_line(
    folder: Path,
    served: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    with pytest.raises(UsageError, match=message):
        run(monkeypatch, *arguments)


def test_the_extra_is_named_where_gradio_is_missing(
    folder: Path, served: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UsageError, match=r"gradio is missing .*: pip install mmsmlp\[demo\]"):
        run(monkeypatch)
