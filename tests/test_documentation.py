"""What the documents say is there: commands with their options, configs, files and headings."""

import argparse
import importlib.util
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import pytest
from mmengine.config import Config

from mmsmlp.model_zoo import config_path

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CURRENT = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]  # which tells of the past
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
SHELL = ("bash", "shell", "sh")
# Of these nothing is checked: they are not ours.
OTHERS = {"apt", "cp", "git", "pip", "pre-commit", "mim", "source", "srun", "eval"}
# What a reader puts in; as the options want it.
PLACEHOLDERS = {"N": "1", "PROCESSES": "2"}


class Parsed(BaseException):
    """Ends a tool when its arguments have been read."""


def commands(document: Path) -> Iterator[list[str]]:
    """Every command of the code blocks, and those in a sentence that name a tool and an option."""
    text = document.read_text()
    for language, block in FENCE.findall(text):
        if language in SHELL:
            for line in re.sub(r"\\\n", " ", block).splitlines():
                yield shlex.split(line, comments=True)
    for inline in re.findall(r"`((?:python|make|tools/\w+\.sh) [^`\n]+)`", FENCE.sub("", text)):
        yield shlex.split(inline)


@lru_cache
def load(path: Path) -> ModuleType:
    # Not by its name: `list` is the built-in type's.
    spec = importlib.util.spec_from_file_location(f"documented_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def read_arguments(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, list[str]], None]:
    """Lets a tool read its arguments, and do nothing."""

    def ending(parse: Callable[..., argparse.Namespace]) -> Callable[..., None]:
        def parse_and_end(*args, **kwargs) -> None:
            parse(*args, **kwargs)
            raise Parsed

        return parse_and_end

    def read(tool: Path, arguments: list[str]) -> None:
        assert tool.is_file(), f"there is no {tool}"
        for name in ("parse_args", "parse_intermixed_args"):
            parse = getattr(argparse.ArgumentParser, name)
            monkeypatch.setattr(argparse.ArgumentParser, name, ending(parse))
        monkeypatch.setattr(sys, "argv", [str(tool), *arguments])
        monkeypatch.setattr(sys, "path", [str(tool.parent), *sys.path])
        with pytest.raises(Parsed):
            load(tool).main()

    return read


def check(
    command: list[str],
    read_arguments: Callable[[Path, list[str]], None],
    saved: Sequence[str] = (),
) -> None:
    while command and re.fullmatch(r"\w+=.*", command[0]):
        command = command[1:]
    if not command or command[0] in OTHERS:
        return
    program, *arguments = [PLACEHOLDERS.get(word, word) for word in command]
    for word in arguments:
        if re.fullmatch(r"(mmsmlp|mmdet|mmseg)::[\w/.-]+\.py", word):
            config_path(word)
        elif re.fullmatch(r"configs/[\w/]+\.py", word):
            assert word in saved or (ROOT / word).is_file(), f"there is no {word}"
    if program == "make":
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {word for word in arguments if "=" not in word} <= targets
    elif re.fullmatch(r"tools/(dist|slurm)_\w+\.sh", program):
        assert (ROOT / program).is_file(), f"there is no {program}"
        tool = "test" if "test" in program else "train"
        skipped = {"tools/dist": (0, 2), "tools/slur": (2, 3)}[program[:10]]
        config = arguments[skipped[0] : skipped[0] + 1]
        options = arguments[skipped[1] :]
        read_arguments(ROOT / "tools" / f"{tool}.py", [*config, *options])
    elif arguments[:2] == ["-m", "mmsmlp"]:
        if arguments[2:]:
            read_arguments(ROOT / "tools" / f"{arguments[2]}.py", arguments[3:])
    elif arguments[:1] == ["-c"]:
        compile(arguments[1], "a command", "exec")
    else:
        assert program == "python" and arguments[0].startswith("tools/"), f"what is {program}?"
        read_arguments(ROOT / arguments[0], arguments[1:])


@pytest.mark.parametrize("document", CURRENT, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_name_tools_options_and_configs_that_are_there(
    document: Path, read_arguments: Callable, capsys: pytest.CaptureFixture
) -> None:
    for library in ("mmdet", "mmseg", "mmpretrain"):
        pytest.importorskip(library)
    saved = re.findall(r"[Ss]ave \w+ as\s+`([^`]+)`", document.read_text())  # by the reader
    for command in commands(document):
        try:
            check(command, read_arguments, saved)
        except (AssertionError, FileNotFoundError, SystemExit) as error:
            pytest.fail(f"{shlex.join(command)}: {error} {capsys.readouterr().err}")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("make trane", "trane"),
        ("python tools/train.py configs/mask_rcnn_smlpnet_t.py --minni", "2"),
        ("python tools/train.py configs/mask_rcnn.py", "no configs/mask_rcnn.py"),
        ("python -m mmsmlp trane", "trane.py"),
        ("python -m mmsmlp train mmsmlp::mask_rcnn.py", "mask_rcnn.py"),
        ("tools/dist_train.sh CONFIG 8 --resumee", "2"),
        ("tools/slurm_train.sh PARTITION JOB CONFIG --resumee", "2"),
        ("pythn tools/train.py", "what is pythn"),
    ],
)
def test_a_wrong_command_is_noticed(command: str, message: str, read_arguments: Callable) -> None:
    with pytest.raises((AssertionError, FileNotFoundError, SystemExit), match=message):
        check(shlex.split(command), read_arguments)


def anchors(document: Path) -> set[str]:
    """Of the headings, as code hosts and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)", FENCE.sub("", document.read_text()), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"\s", "-", heading) for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target, anchor in LINK.findall(FENCE.sub("", document.read_text())):
        path = (document.parent / target).resolve() if target else document
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


@pytest.mark.parametrize(
    ("english", "chinese"),
    [("README.md", "README_zh-CN.md"), ("docs/get_started.md", "docs/zh/get_started.md")],
)
def test_a_translation_is_one_and_leaves_nothing_out(english: str, chinese: str) -> None:
    original, translation = ((ROOT / name).read_text() for name in (english, chinese))
    assert FENCE.findall(translation) == FENCE.findall(original)
    prose = FENCE.sub("", translation)
    assert len(re.findall(r"[\u4e00-\u9fff]", prose)) > len(FENCE.sub("", original)) / 8

    def linked(name: str, text: str) -> set[Path]:
        folder = (ROOT / name).parent
        paths = {(folder / target).resolve() for target, _ in LINK.findall(text)}
        # The translation of a page stands for it.
        return {
            Path(str(path).replace("/docs/zh/", "/docs/"))
            for path in paths - {ROOT / english, ROOT / chinese}
        }

    assert linked(chinese, prose) == linked(english, FENCE.sub("", original))


@pytest.mark.parametrize("document", CURRENT, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_files_of_the_repository_exist(document: Path) -> None:
    named = re.findall(r"`((?:tests|tools|mmsmlp)/[a-z0-9_/]+\.\w+)`", document.read_text())
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing


def test_the_example_of_a_backbone_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from mmsmlp.registry import MODELS

    pytest.importorskip("mmdet")
    text = (ROOT / "docs" / "add_a_backbone.md").read_text()
    network, config = (block for language, block in FENCE.findall(text) if language == "python")
    (tmp_path / "poolnet.py").write_text(network)
    (tmp_path / "config.py").write_text(config)
    monkeypatch.syspath_prepend(tmp_path)
    model = Config.fromfile(tmp_path / "config.py").model
    options = [
        dict(),
        dict(training_padding="crop", norm_eval=True, drop_path_rate=0.2),
        dict(training_padding="include", with_cp=True, frozen_stages=1, in_channels=3),
        dict(out_indices=(3, 0, -2), init_cfg=dict(type="Kaiming", layer="Linear")),
    ]
    x = torch.rand(2, 3, 97, 61)
    x[1, :, 50:] = 0
    try:
        backbones = [MODELS.build(dict(model.backbone, **each)) for each in options]
    finally:
        MODELS.module_dict.pop("PoolNet", None)
        sys.modules.pop("poolnet", None)
    for backbone, each in zip(backbones, options, strict=True):
        backbone.init_weights()
        for training in (True, False):
            maps = backbone.train(training)(x)
            expected = [
                (channels, -(-97 // stride), -(-61 // stride))
                for channels, stride in zip(model.neck.in_channels, (4, 8, 16, 32), strict=True)
            ]
            expected = [expected[i] for i in each.get("out_indices", range(4))]
            assert [tuple(y.shape[1:]) for y in maps] == expected
            assert all(torch.isfinite(y).all() for y in maps)
        sum(y.square().mean() for y in backbone.train()(x)).backward()
