#!/usr/bin/env python3
"""Prepares .venv: the pinned environment in which this project trains and is tested.

Safe to repeat and to interrupt: pip skips installed packages, and the stamp that
says "ready" is written last. Standard library only, for it runs before there is anything else.
With OPERATORS=compiled in the environment, mmcv's operators are compiled, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
STAMP = VENV / "mmsmlp-ready"
REQUIREMENTS = ROOT / "requirements"
CONSTRAINTS = "requirements/constraints.txt"
LOG = ROOT / "build/setup.log"
PYTHON_VERSIONS = ((3, 11), (3, 12), (3, 13))
STEPS = 4
# Measured: .venv takes 6.4 GB, the downloads 3.0 GB, once on their way and once in pip's cache.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
GIGABYTES = {VENV: 7.0, Path(tempfile.gettempdir()): 3.0, CACHE: 3.0}

# Messages of pip and the compiler for errors outside of this project, most specific first.
DIAGNOSES = [
    (r"No space left on device", "the disk is full"),
    (
        r"fatal error: Python\.h",
        "the Python headers, Python.h, are missing (apt install python3-dev)",
    ),
    (
        r"command '?(?:g\+\+|gcc|c\+\+)\S* failed: No such file"
        r"|No such file or directory: '[gc]\+\+",
        "a C++ compiler is missing (apt install g++)",
    ),
    (
        r"Killed signal terminated program|fatal error: Killed",
        "the compiler ran out of memory (try again with MAX_JOBS=1)",
    ),
    (
        r"detected CUDA version \(\S+\) mismatches",
        "nvcc is of another CUDA version than torch (install the CUDA toolkit of torch's version)",
    ),
    (
        r"CUDA_HOME environment variable is not set|nvcc: (command )?not found",
        "nvcc is missing (install the CUDA toolkit, or do without OPERATORS=compiled)",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "the package index's certificate is not trusted (apt install ca-certificates)",
    ),
    (
        r"Failed to (establish a new connection|resolve)|Connection (refused|broken|aborted)"
        r"|ConnectTimeout|ReadTimeout|[Rr]ead timed out|Network is unreachable"
        r"|[Nn]ame resolution|ProxyError|Max retries exceeded",
        "the package index cannot be reached (check the network, https_proxy and PIP_INDEX_URL)",
    ),
    (
        # The second is pip's message if it does not find a pinned version.
        r"(?:No matching distribution found for|Cannot install) (?P<what>\S+)",
        "the package index does not offer {what} (check PIP_INDEX_URL and PIP_NO_INDEX)",
    ),
    (r"DO NOT MATCH THE HASHES|BadZipFile", "a download arrived damaged (try again)"),
    (r"Permission denied: (?P<what>\S+)", "no permission to write {what}"),
]


class SetupError(Exception):
    """An error that the user can fix, in one line."""


def diagnose(log: str) -> str:
    """The error, from the output of pip or the compiler."""
    for pattern, message in DIAGNOSES:
        found = re.search(pattern, log)
        if found:
            return message.format(**found.groupdict())
    errors = re.findall(r"(?:ERROR|[Ee]rror): *(\S.*)", log)
    return errors[-1].strip() if errors else "it failed without saying why"


def missing_space(needs: dict[Path, float]) -> Iterator[str]:
    """File systems with less room than needed.

    Args:
        needs: Gigabytes by folder. The folders need not exist; those on one file system add up.
    """
    places: dict[int, tuple[Path, float]] = {}
    for folder, gigabytes in needs.items():
        place = next(path for path in (folder, *folder.parents) if path.exists())
        first, so_far = places.get(place.stat().st_dev, (place, 0.0))
        places[place.stat().st_dev] = first, so_far + gigabytes
    for place, gigabytes in places.values():
        free = shutil.disk_usage(place).free / 1e9
        if free < gigabytes:
            yield f"disk space at {place} ({gigabytes:.1f} GB needed, {free:.1f} GB free)"


def environment_key() -> str:
    """Changes with the inputs of the environment, and with its folder."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
    sources = [ROOT / "pyproject.toml", ROOT / "setup.py", *REQUIREMENTS.rglob("*.to?l")]
    for path in sorted([*sources, *REQUIREMENTS.glob("*.txt")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_ready(operators: str) -> bool:
    """Whether .venv is finished and up to date; one with compiled operators serves all."""
    if not (STAMP.exists() and PYTHON.exists()):
        return False
    return STAMP.read_text() in [f"{environment_key()} {kind}" for kind in (operators, "compiled")]


class Setup:
    """The steps to a ready environment, each of them repeatable."""

    def __init__(self, lock: int, operators: str) -> None:
        self.lock = lock
        self.operators = operators
        self.started = time.monotonic()
        self.number = 0

    def __call__(self) -> None:
        """Runs them all."""
        if importlib.util.find_spec("ensurepip") is None:
            raise SetupError("this machine lacks the venv module (apt install python3-venv)")
        lacking = [] if VENV.exists() else list(missing_space(GIGABYTES))
        if lacking:
            raise SetupError(f"this machine lacks {'; '.join(lacking)}")
        STAMP.unlink(missing_ok=True)
        self.create_venv()
        self.install_packages()
        self.install_mmcv()
        self.step("installing mmsmlp")
        self.pip("install", "-q", "--no-deps", "--no-build-isolation", "-e", ".")
        STAMP.write_text(f"{environment_key()} {self.operators}")
        print(f"        ready after {self.elapsed}", flush=True)

    def create_venv(self) -> None:
        """Makes .venv unless a working one exists, and removes half-installed packages."""
        self.step("preparing .venv")
        site = VENV / "lib/python{}.{}/site-packages".format(*sys.version_info)
        # venv writes `activate` last. It has the folder, which differs in a moved copy. pip renames
        # packages with ~ during an update, and leaves them if it is stopped.
        activate = VENV / "bin/activate"
        whole = PYTHON.exists() and activate.exists() and str(VENV) in activate.read_text()
        if not whole or not site.is_dir() or any(site.glob("~*")):
            self.run([sys.executable, "-m", "venv", "--clear", str(VENV)])
        for package in site.glob("*.dist-info"):
            # pip writes INSTALLER after the package's own files; without it some may be missing.
            if not (package / "INSTALLER").exists():
                shutil.rmtree(package)
        self.pip("install", "-q", "-r", "requirements/build.txt")
        stand_in = "./requirements/opencv-stand-in"
        self.pip("install", "-q", "--no-deps", "--no-build-isolation", stand_in)

    def install_packages(self) -> None:
        """Installs everything except mmcv."""
        self.step("installing torch and the OpenMMLab libraries (about 3 GB to download)")
        lines = (REQUIREMENTS / "onedl.txt").read_text().splitlines()
        libraries = [line for line in lines if line and not line.startswith(("#", "onedl-mmcv"))]
        names = ("runtime", "dev", "demo", "deploy")
        files = [arg for name in names for arg in ("-r", f"requirements/{name}.txt")]
        # Packages without a wheel are built with the pinned setuptools, too.
        self.pip("install", "--build-constraint", CONSTRAINTS, *files, *libraries)

    def install_mmcv(self) -> None:
        """Installs mmcv, which is pure Python when it is built where there is no torch.

        Never from pip's cache: a wheel of the other kind, or for another torch, may be there.
        """
        options = ["-q", "--no-deps", "--no-cache-dir", "--force-reinstall"]
        if self.operators != "compiled":
            self.step("installing mmcv")
            self.pip("install", *options, "onedl-mmcv", MMCV_WITH_OPS="0")
            return
        self.step("compiling mmcv (about nine minutes on two cores)")
        self.pip("install", "-q", "ninja", "packaging")
        options.append("--no-build-isolation")
        flags = f"{os.environ.get('CFLAGS', '')} -g0"
        self.pip("install", *options, "onedl-mmcv", MMCV_WITH_OPS="1", CFLAGS=flags)
        self.run([str(PYTHON), "-I", "-c", "import torch, mmcv._ext"])

    @property
    def elapsed(self) -> str:
        """Time since the first step, m:ss."""
        return "{}:{:02d}".format(*divmod(round(time.monotonic() - self.started), 60))

    def step(self, title: str) -> None:
        """Announces the next step and empties the log."""
        self.number += 1
        print(f"[{self.number}/{STEPS}] {self.elapsed:>5} {title}", flush=True)
        LOG.parent.mkdir(parents=True, exist_ok=True)
        LOG.write_text("")

    def pip(self, *arguments: str, **environment: str) -> None:
        """Runs the environment's pip within the pinned versions, with no module from outside."""
        command = [str(PYTHON), "-I", "-m", "pip", *arguments, "-c", CONSTRAINTS, "--log", str(LOG)]
        environment["PATH"] = f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}"
        self.run(command, **environment)

    def run(self, command: list[str], **environment: str) -> None:
        """Runs a command with its errors going to the log, and diagnoses its failure."""
        with LOG.open("a") as log:
            child = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stderr=log,
                # It is locked while one of the commands is alive.
                pass_fds=[self.lock],
                # Ctrl-C reaches this process alone, which then stops the whole family below it.
                start_new_session=True,
            )
            try:
                code = child.wait()
            except BaseException:
                stop(child)
                raise
        if code:
            reason = diagnose(LOG.read_text(errors="replace"))
            raise SetupError(f"{reason} (log: {LOG.relative_to(ROOT)})")


def stop(child: subprocess.Popen) -> None:
    """Ends a child and all that it started, politely for ten seconds."""
    with contextlib.suppress(ProcessLookupError):  # raised when none is left
        os.killpg(child.pid, signal.SIGINT)
        for _ in range(100):
            time.sleep(0.1)
            child.poll()
            os.killpg(child.pid, 0)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


@contextlib.contextmanager
def locked() -> Iterator[int]:
    """Lets one set-up work at a time; the others wait."""
    with open(ROOT / ".venv.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another set-up of .venv to finish", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def set_up() -> None:
    """Makes the environment ready."""
    if sys.version_info[:2] not in PYTHON_VERSIONS:
        names = ", ".join("{}.{}".format(*version) for version in PYTHON_VERSIONS)
        raise SetupError(
            f"Python {names} will do, this is {sys.version.split()[0]} "
            "(name another: make PYTHON=/path/to/python)"
        )
    operators = os.environ.get("OPERATORS") or "torchvision"
    if operators not in ("torchvision", "compiled"):
        raise SetupError(f"OPERATORS is {operators}, and may be torchvision or compiled")
    if is_ready(operators):
        return
    with locked() as lock:
        # The one that was waited for may have done it.
        if not is_ready(operators):
            Setup(lock, operators)()


def main() -> int:
    """Runs the set-up; an error or interruption is one line."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        set_up()
    except KeyboardInterrupt:
        print("\nsetup: interrupted; the same command continues from here", file=sys.stderr)
        return 130
    except (SetupError, OSError) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
