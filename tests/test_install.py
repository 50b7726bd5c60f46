"""What an installation from a wheel gives, in a folder that is not the checkout."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.helpers import OWN_DATA

ROOT = Path(__file__).parents[1]
SOURCES = ["mmsmlp", "configs", "tools", "requirements", "model-index.yml", "setup.py"]
# A network of a second, made of ours by the family of configs that inherits by `_base_`.
TEXT = """
_base_ = "mmsmlp::{name}.py"
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), mlp_ratio=2)
    ),
    {parts}
)
"""
PARTS = {
    "mask_rcnn_smlpnet_t": "neck=dict(in_channels=[8, 8, 16, 16])",
    "upernet_smlpnet_t": "decode_head=dict(in_channels=[8, 8, 16, 16], channels=8), "
    "auxiliary_head=dict(in_channels=16, channels=8)",
}
INFER = """
import sys, cv2, numpy as np, torch, mmsmlp.model_zoo
from mmengine.config import Config
from mmengine.registry import init_default_scope
from {library}.apis import {inferencer}
from {library}.registry import MODELS

assert mmsmlp.__file__.startswith(sys.argv[1]), mmsmlp.__file__
cfg = Config.fromfile("small.py")
init_default_scope(cfg.default_scope)
torch.manual_seed(0)
model = MODELS.build(cfg.model)
meta = dict(dataset_meta=dict(classes=["thing"] * {classes}, palette=[[0, 0, 0]] * {classes}))
torch.save(dict(state_dict=model.state_dict(), meta=meta), "small.pth")
image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
cv2.imwrite("image.png", image)
results = {inferencer}("small.py", "small.pth", device="cpu")("image.png", return_datasamples=True)
"""
DETECTION = INFER.format(library="mmdet", inferencer="DetInferencer", classes=80) + (
    'boxes = results["predictions"][0].pred_instances\n'
    "assert boxes.masks.shape == (len(boxes), 50, 70)\n"
)
SEGMENTATION = INFER.format(library="mmseg", inferencer="MMSegInferencer", classes=150) + (
    "assert results.pred_sem_seg.data.shape == (1, 50, 70)\n"
)
# The docs' example of a config that names its base by an expression.
EXPRESSION = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "recipes.md").read_text(), re.DOTALL
)[-1]
BY_EXPRESSION = """
import sys
from mmengine.config import Config

assert "mmsmlp" not in sys.modules
assert Config.fromfile("expression.py").model.backbone.type == "mmsmlp.SMLPNet"
"""
# What `python -m mmsmlp TOOL --help` does, for several tools at the price of one.
HELP = """
import runpy, sys

for tool in sys.argv[1:]:
    sys.argv = ["mmsmlp", tool, "--help"]
    try:
        runpy.run_module("mmsmlp", run_name="__main__")
    except SystemExit as stop:
        assert not stop.code, stop.code
"""


def run(*command: object, cwd: Path, path: Path | None = None) -> str:
    environment = os.environ | {"PYTHONPATH": str(path or ""), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, *map(str, command)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # What pyproject.toml asks for.
    pytest.importorskip("setuptools", "77")
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source").mkdir()
    for name in [*SOURCES, "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"]:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        options = {"symlinks": True} if (ROOT / name).is_dir() else {}
        copy(ROOT / name, folder / "source" / name, **options)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "-q"]
    run("-m", "pip", "wheel", ".", *options, "-w", folder, cwd=folder / "source")
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    target = wheel.parent / "site"
    run("-m", "pip", "install", "-q", "--no-deps", "--target", target, wheel, cwd=wheel.parent)
    return target


def test_a_wheel_holds_configs_and_tools(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    kept = [name.removeprefix("mmsmlp/.mim/") for name in names if ".mim/" in name]
    for pattern in ("configs/*.py", "configs/_base_/*.py"):
        assert {str(path.relative_to(ROOT)) for path in ROOT.glob(pattern)} <= set(kept)
    tools = {str(path.relative_to(ROOT)) for path in ROOT.glob("tools/*.*")}
    assert {"model-index.yml", "configs/metafile.yml"} <= set(kept)
    assert {"tools/train.py", "tools/test.py", "tools/dist_train.sh"} <= tools <= set(kept)
    assert not [name for name in kept if name.startswith("tools/dev") or "__pycache__" in name]
    assert len(names) == len(set(names))


@pytest.mark.long
def test_an_editable_installation_links_them(wheel: Path) -> None:
    source, target = wheel.parent / "source", wheel.parent / "editable"
    options = ["-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", target]
    run("-m", "pip", "install", *options, "-e", ".", cwd=source)
    for name in ("configs", "tools", "model-index.yml"):
        link = source / "mmsmlp" / ".mim" / name
        assert link.is_symlink() and link.resolve() == source / name


@pytest.mark.long
@pytest.mark.parametrize(
    ("library", "name", "script"),
    [("mmdet", "mask_rcnn_smlpnet_t", DETECTION), ("mmseg", "upernet_smlpnet_t", SEGMENTATION)],
)
def test_inferencers_run_a_config_that_inherits_from_ours(
    site: Path, tmp_path: Path, library: str, name: str, script: str
) -> None:
    pytest.importorskip(library)
    (tmp_path / "small.py").write_text(TEXT.format(name=name, parts=PARTS[name]))
    run("-c", script, site, cwd=tmp_path, path=site)


@pytest.mark.long
def test_a_config_names_its_base_by_an_expression(site: Path, tmp_path: Path) -> None:
    pytest.importorskip("mmdet")
    (tmp_path / "expression.py").write_text(EXPRESSION)
    run("-c", BY_EXPRESSION, cwd=tmp_path, path=site)


def test_every_tool_runs_as_a_module(site: Path, tmp_path: Path) -> None:
    tools = sorted((ROOT / "tools").glob("*.py"))
    shown = run("-c", HELP, *(tool.stem for tool in tools), cwd=tmp_path, path=site)
    assert re.findall(r"^usage: (\S+)", shown, re.MULTILINE) == [tool.name for tool in tools]


@pytest.mark.long
def test_the_benchmark_measures_in_an_empty_folder(site: Path, tmp_path: Path) -> None:
    pytest.importorskip("mmdet")
    options = "s2mlpv2_s4 --sizes 32x32 --rounds 1 --threads 1 --out mine.json"
    run("-m", "mmsmlp", "benchmark", "speed", *options.split(), cwd=tmp_path, path=site)
    (measured,) = json.loads((tmp_path / "mine.json").read_text())["runs"]
    (result,) = measured["cases"][0]["results"]
    assert result["seconds"][0] > 0 and measured["software"]["revision"] is None


@pytest.mark.long
def test_the_commands_of_the_readme_work_in_an_empty_folder(site: Path, tmp_path: Path) -> None:
    pytest.importorskip("mmdet")
    readme = (ROOT / "README.md").read_text()
    swap, train, infer = re.findall(r"^python (-m mmsmlp .*)$", readme, re.MULTILINE)
    # To spare time, and no other change.
    few = "train_cfg.max_iters=2 val_dataloader.dataset.indices=4"
    run(*swap.split(), cwd=tmp_path, path=site)
    assert (tmp_path / "mine.py").is_file()
    run(*train.replace("train_cfg.max_iters=20", few).split(), cwd=tmp_path, path=site)
    shutil.copy(min(tmp_path.glob("data/mini/images/val/*")), tmp_path / "image.jpg")
    run(*infer.replace("iter_20", "iter_2").split(), cwd=tmp_path, path=site)
    assert (tmp_path / "predictions" / "vis" / "image.jpg").is_file()


@pytest.mark.long
def test_the_commands_for_own_data_work_in_an_empty_folder(
    site: Path, tmp_path: Path, own_images: Path
) -> None:
    pytest.importorskip("mmdet")
    document = (ROOT / "docs" / "own_data.md").read_text()
    commands = re.search(r"```bash\n(.*?)```", document, re.DOTALL)[1].splitlines()
    *installs, new, train, infer = [command.partition("  ")[0] for command in commands]
    assert installs == ['pip install ".[onedl]"']
    shutil.copytree(own_images, tmp_path / "images")
    (tmp_path / "annotations.json").write_text(json.dumps(OWN_DATA))
    new, train, infer = (command.removeprefix("python ") for command in (new, train, infer))
    run(*new.split(), cwd=tmp_path, path=site)
    # To spare time, and no other change.
    run(*train.split(), "--cfg-options", "train_cfg.max_epochs=1", cwd=tmp_path, path=site)
    images = ["images/0.png", "images/1.png"]
    command = infer.replace("epoch_12", "epoch_1").replace("images/*.jpg", " ".join(images))
    run(*command.split(), cwd=tmp_path, path=site)
    drawn = sorted(path.name for path in (tmp_path / "predictions" / "vis").iterdir())
    assert drawn == ["0.png", "1.png"]
