"""A place to run tools/dev/setup_env.py in, without a network: its pip is played by a script."""

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

# Takes .venv/bin/python's place.
FAKE_PYTHON = """
import os, pathlib, sys, time
here = pathlib.Path(__file__).resolve().parent
args = sys.argv[1:]
with open(here / "calls", "a") as calls:
    calls.write(" ".join([os.environ.get("MMCV_WITH_OPS", "-"), *args]) + "\\n")
exec((here / "extra").read_text())
"""


class Sandbox:
    """A copy of the set-up in an empty folder, with a .venv whose Python is a script."""

    def __init__(self, root: Path) -> None:
        self.root = root / "project"
        self.bin = self.root / ".venv/bin"
        self.tools = root / "tools"
        shutil.copytree(ROOT / "requirements", self.root / "requirements")
        self.scripts = self.root / "tools/dev"
        self.scripts.mkdir(parents=True)
        shutil.copy(ROOT / "tools/dev/setup_env.py", self.scripts)
        for name in ("pyproject.toml", "setup.py"):
            shutil.copy(ROOT / name, self.root)
        # The tests run with any Python, the set-up with some.
        self.want_python(tuple(sys.version_info[:2]))
        self.environment = {
            "HOME": str(root),
            "PATH": str(self.tools),
            "XDG_CACHE_HOME": str(root / "cache"),
        }

    def want_python(self, version: tuple[int, int]) -> None:
        script = self.scripts / "setup_env.py"
        lines = script.read_text().splitlines()
        changed = [
            f"PYTHON_VERSIONS = ({version},)" if line.startswith("PYTHON_VERSIONS =") else line
            for line in lines
        ]
        script.write_text("\n".join(changed))

    def executable(self, name: str, text: str) -> None:
        path = self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)

    def add_venv(self, extra: str = "") -> None:
        """Adds the fake environment; `extra` is run by its Python at the end of each call."""
        self.executable("python", FAKE_PYTHON)
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
