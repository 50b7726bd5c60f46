"""A place to run tools/dev/setup_env.py in, without a network: its pip is played by a script."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# Last, for a script's name shall not hide a module's.
sys.path.append(str(ROOT / "tools/dev"))

# Takes .venv/bin/python's place. Wheels are text files; the word "good" makes one work.
FAKE_PYTHON = r"""
import pathlib, sys, tarfile, time
here = pathlib.Path(__file__).resolve().parent
args = sys.argv[1:]
with open(here / "calls", "a") as calls:
    calls.write(" ".join(args[:4]).replace("\n", " ") + "\n")
installed = here / "installed"
if any("nms" in arg for arg in args):
    sys.exit(not installed.exists() or installed.read_text() != "good")
elif "-c" in args[:2]:
    print("2.11.0", "cpu")
elif "download" in args:
    folder = pathlib.Path(args[args.index("-d") + 1])
    (folder / "onedl_mmcv-0").mkdir()
    with tarfile.open(folder / "onedl_mmcv-0.tar.gz", "w:gz") as archive:
        archive.add(folder / "onedl_mmcv-0", "onedl_mmcv-0")
elif "wheel" in args:
    print("  [1/2] c++ nms.cpp", "  [2/2] c++ bind.cpp", sep="\n")
    pathlib.Path(args[args.index("-w") + 1], WHEEL).write_text("good")
elif any(arg.endswith(".whl") for arg in args):
    wheel = next(arg for arg in args if arg.endswith(".whl"))
    installed.write_text(pathlib.Path(wheel).read_text())
exec((here / "extra").read_text())
"""


def wheel_name() -> str:
    """What mmcv's wheel is called for the Python that runs the tests."""
    from setup_env import pins

    python = "cp{}{}".format(*sys.version_info[:2])
    return f"onedl_mmcv-{pins()['onedl-mmcv']}-{python}-{python}-linux_{os.uname().machine}.whl"


class Sandbox:
    """A copy of the set-up in an empty folder, with a .venv whose Python is a script."""

    def __init__(self, root: Path) -> None:
        self.root = root / "project"
        self.bin = self.root / ".venv/bin"
        self.tools = root / "tools"
        self.wheel = wheel_name()
        shutil.copytree(ROOT / "requirements", self.root / "requirements")
        self.scripts = self.root / "tools/dev"
        self.scripts.mkdir(parents=True)
        for path in (ROOT / "tools/dev").glob("setup_*.py"):
            shutil.copy(path, self.scripts)
        for name in ("pyproject.toml", "setup.py"):
            shutil.copy(ROOT / name, self.root)
        # The tests run with any Python, the set-up with one.
        self.want_python(tuple(sys.version_info[:2]))
        self.executable("g++", folder=self.tools)
        self.environment = {
            "CUDA_VISIBLE_DEVICES": "",
            "HOME": str(root),
            "PATH": str(self.tools),
            "XDG_CACHE_HOME": str(root / "cache"),
        }
        self.wheels = root / "cache/mmsmlp/wheels"

    def want_python(self, version: tuple[int, int]) -> None:
        checks = self.scripts / "setup_checks.py"
        lines = checks.read_text().splitlines()
        changed = [
            f"PYTHON_VERSION = {version}" if line.startswith("PYTHON_VERSION =") else line
            for line in lines
        ]
        checks.write_text("\n".join(changed))

    def executable(self, name: str, text: str = "", folder: Path | None = None) -> None:
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)

    def add_venv(self, extra: str = "") -> None:
        """Adds the fake environment; `extra` is run by its Python at the end of each call."""
        self.executable("python", FAKE_PYTHON.replace("WHEEL", repr(self.wheel)))
        (self.bin / "extra").write_text(textwrap.dedent(extra))
        (self.bin / "activate").write_text(f'VIRTUAL_ENV="{self.bin.parent}"')
        version = "python{}.{}".format(*sys.version_info[:2])
        (self.bin.parent / "lib" / version / "site-packages").mkdir(parents=True)

    def start(self, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "tools/dev/setup_env.py"],
            cwd=self.root,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell lets its background jobs, such as this test run, ignore Ctrl-C.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, **environment: str) -> tuple[int, str, str]:
        child = self.start(**environment)
        out, err = child.communicate(timeout=60)
        return child.returncode, out, err

    def calls(self) -> list[str]:
        path = self.bin / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def sandbox(tmp_path):
    return Sandbox(tmp_path)
