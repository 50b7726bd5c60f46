"""How shells complete ``python -m mmsmlp …``, with a stand-in for argcomplete and with itself."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Does what argcomplete does with a parser, for the words of a command line: the last is begun.
STAND_IN = """
import os, sys

def FilesCompleter():
    return lambda prefix: ["file.py"]

def autocomplete(parser):
    *words, prefix = os.environ["WORDS"].split(" ")
    if words:
        parser = parser._subparsers._group_actions[0].choices[words[0]]
        action = parser._actions[1] if len(words) < 2 else parser._option_string_actions[words[-1]]
        offered = action.choices or action.completer(prefix=prefix)
    else:
        offered = parser._subparsers._group_actions[0].choices
    print(*(word for word in offered if word.startswith(prefix)))
    print("torch" in sys.modules)
    sys.exit()
"""


def complete(words: str, stand_in: str, folder: Path) -> subprocess.CompletedProcess:
    (folder / "argcomplete.py").write_text(stand_in)
    path = os.pathsep.join([str(folder), str(ROOT)])
    environment = os.environ | {"_ARGCOMPLETE": "3", "WORDS": words, "PYTHONPATH": path}
    command = [sys.executable, "-m", "mmsmlp", *words.split()]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("li", "list"),
        ("list smlpnet", "smlpnet smlpnet_t smlpnet_s smlpnet_b"),
        ("list --task s", "segmentation"),
        ("train mmsmlp::mask_rcnn_s2mlp_", "mmsmlp::mask_rcnn_s2mlp_wide.py"),
        ("train fi", "file.py"),
    ],
)
def test_names_are_offered_without_importing_torch(
    words: str, offered: str, tmp_path: Path
) -> None:
    done = complete(words, STAND_IN, tmp_path)
    assert done.stdout.splitlines() == [offered, "False"], done.stderr


def test_a_tool_is_not_run_where_argcomplete_is_missing(tmp_path: Path) -> None:
    done = complete("list nothing", "raise ImportError", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


@pytest.mark.parametrize(
    ("shell", "options"), [("bash", ["--norc", "--noprofile", "-i"]), ("zsh", ["-f", "-i"])]
)
def test_a_shell_completes_as_documented(shell: str, options: list[str], tmp_path: Path) -> None:
    pexpect = pytest.importorskip("pexpect")
    pytest.importorskip("argcomplete")
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} (apt install {shell})")
    _, _, section = (ROOT / "docs" / "get_started.md").read_text().partition("## Tab completion")
    (start,) = re.findall(rf"```{shell}\n# ~/.{shell}rc\n(.*?)```", section, re.DOTALL)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "TERM": "dumb",
    }
    wide = dict(encoding="utf-8", dimensions=(50, 200))
    child = pexpect.spawn(shell, options, env=environment, cwd=tmp_path, **wide)
    try:
        for line in start.splitlines():
            child.sendline(f"{line}; echo do''ne")  # what is typed is echoed, too
            child.expect("done")
        for begun, rest in (
            ("sw", "ap_backbone"),
            ("list --task s", "egmentation"),
            ("train mmsmlp::mask_rcnn_s2mlp_", "wide.py"),
        ):
            child.send(f"python -m mmsmlp {begun}\t")
            child.expect_exact(rest)
            child.sendcontrol("u")
    finally:
        child.close(force=True)
