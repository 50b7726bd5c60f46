#!/usr/bin/env python3
"""Prepares .venv: the pinned environment in which this project trains and is tested.

Safe to repeat and to interrupt: every step finds out for itself what is already there, and the
stamp that says "ready" is written last. Standard library only, for it runs before there is
anything else. MMSMLP_WHEELS=DIR names a folder that may hold a ready mmcv wheel.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from setup_checks import (
    PYTHON_VERSION,
    SetupError,
    complain,
    has_gpu,
    missing_for_build,
    missing_for_venv,
    missing_space,
)
from setup_console import Console, Progress

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
# Takes no module from PYTHONPATH or the home folder for one of its own.
ISOLATED = [str(PYTHON), "-I"]
SITE = VENV / "lib/python{}.{}/site-packages".format(*PYTHON_VERSION)
STAMP = VENV / "mmsmlp-ready"
REQUIREMENTS = ROOT / "requirements"
CONSTRAINTS = str(REQUIREMENTS / "constraints.txt")
SCRATCH = ROOT / "build/setup"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
WHEELS = CACHE / "mmsmlp/wheels"

# Measured: .venv takes 6.4 GB, the downloads 3.0 GB, once on their way and once in pip's cache.
GIGABYTES = {VENV: 7.0, Path(tempfile.gettempdir()): 3.0, CACHE: 3.0}
BUILD_MINUTES = 18  # for mmcv's CPU operators on one core

# Runs in .venv. The operators must work on the device that training will use.
MMCV_WORKS = """
import sys, torch, mmcv, mmcv._ext
from mmcv.ops import nms, roi_align
assert mmcv.__version__ == sys.argv[1], mmcv.__version__
device = "cuda" if torch.cuda.is_available() else "cpu"
boxes = torch.tensor([[0., 0, 9, 9], [0, 0, 9, 8], [20, 20, 30, 30]], device=device)
assert nms(boxes, torch.tensor([.9, .8, .7], device=device), .5)[1].tolist() == [0, 2]
rois = torch.tensor([[0., 0, 0, 4, 4]], device=device)
assert roi_align(torch.ones(1, 1, 8, 8, device=device), rois, 2).eq(1).all()
"""
TORCH_BUILD = """
import torch
gpu = torch.cuda.is_available()
print(torch.__version__, "sm%d%d" % torch.cuda.get_device_capability() if gpu else "cpu")
"""


def pins() -> dict[str, str]:
    """The versions in the constraints file, by package name."""
    lines = Path(CONSTRAINTS).read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def environment_key() -> str:
    """Changes with whatever the environment is made from, and when it is moved."""
    digest = hashlib.sha256(f"{PYTHON_VERSION} {ROOT}".encode())
    sources = [ROOT / "pyproject.toml", ROOT / "setup.py", *REQUIREMENTS.rglob("*.to?l")]
    for path in sorted([*sources, *REQUIREMENTS.glob("*.txt")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_ready() -> bool:
    """Whether .venv is finished, up to date and fit for this machine."""
    if not (STAMP.exists() and PYTHON.exists()):
        return False
    # What was built without a GPU in sight cannot drive one; the other way round is fine.
    devices = ("gpu",) if has_gpu() else ("gpu", "cpu")
    return STAMP.read_text() in [f"{environment_key()} {device}" for device in devices]


def find_wheel(folder: Path, version: str) -> Path | None:
    """A wheel of mmcv in `folder` for this Python and processor."""
    tag = "cp{}{}".format(*PYTHON_VERSION)
    name = f"onedl_mmcv-{version}-{tag}-{tag}-*{os.uname().machine}.whl"
    return next(iter(sorted(folder.glob(name))), None)


def cache_key(mmcv: str, torch: str, device: str) -> str:
    """The folder of a built wheel, named after all that its binary depends on."""
    platform = sysconfig.get_platform().replace("-", "_")
    return f"mmcv{mmcv}-torch{torch}-{device}-{sys.implementation.cache_tag}-{platform}"


def build_jobs() -> int:
    """Compilers to run at once: one a core, if each has the 2 GB that torch's headers take."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    fitting = min(len(os.sched_getaffinity(0)), memory // 2_000_000_000)
    return int(os.environ.get("MAX_JOBS") or max(1, fitting))


class Setup:
    """The steps to a ready environment, each of them repeatable."""

    def __init__(self, lock: int) -> None:
        self.console = Console(ROOT, SCRATCH, steps=5, lock=lock)
        self.mmcv = pins()["onedl-mmcv"]

    def __call__(self) -> None:
        """Runs them all."""
        self.check_machine()
        STAMP.unlink(missing_ok=True)
        self.create_venv()
        self.install_packages()
        self.install_mmcv()
        self.install_project()

    def check_machine(self) -> None:
        """Complains before the long steps rather than after them."""
        self.console.step("checking this machine")
        built = WHEELS.glob(f"mmcv{self.mmcv}-torch{pins()['torch']}*")
        folders = [*self.given_wheels(), *built]
        at_hand = any(SITE.glob("mmcv/_ext*.so")) or any(
            find_wheel(folder, self.mmcv) for folder in folders
        )
        problems = [*missing_for_venv(), *([] if at_hand else missing_for_build())]
        complain([*problems, *([] if VENV.exists() else missing_space(GIGABYTES))])

    def create_venv(self) -> None:
        """Makes .venv unless a sound one is there, and drops what pip left half-installed."""
        self.console.step("preparing .venv")
        # `activate` is what venv writes last. It names the folder, which a moved copy is not in.
        # Names with ~ are what pip had put aside when it was stopped in the middle of an update.
        activate = VENV / "bin/activate"
        whole = PYTHON.exists() and activate.exists() and str(VENV) in activate.read_text()
        if not whole or not SITE.is_dir() or any(SITE.glob("~*")):
            self.console.run([sys.executable, "-m", "venv", "--clear", str(VENV)])
        for package in SITE.glob("*.dist-info"):
            # pip writes INSTALLER after the package's own files; without it some may be missing.
            if not (package / "INSTALLER").exists():
                shutil.rmtree(package)
        self.pip("install", "-q", "-r", "requirements/build.txt")
        stand_in = "./requirements/opencv-stand-in"
        self.pip("install", "-q", "--no-deps", "--no-build-isolation", stand_in)

    def install_packages(self) -> None:
        """Installs all but mmcv, which has no wheel on the package index."""
        self.console.step("installing torch and the OpenMMLab libraries (about 3 GB to download)")
        lines = (REQUIREMENTS / "onedl.txt").read_text().splitlines()
        libraries = [line for line in lines if line and not line.startswith(("#", "onedl-mmcv"))]
        names = ("runtime", "dev", "demo", "deploy")
        files = [arg for name in names for arg in ("-r", f"requirements/{name}.txt")]
        # What comes without a wheel is built with the pinned setuptools, too.
        options = ["--build-constraint", CONSTRAINTS]
        self.pip("install", *options, *files, *libraries)

    def install_mmcv(self) -> None:
        """Installs mmcv from a wheel that works here, building one if there is none."""
        self.console.step(f"installing mmcv {self.mmcv}")
        if self.mmcv_works():
            return
        output: list[str] = []
        self.console.run([*ISOLATED, "-c", TORCH_BUILD], on_line=output.append)
        torch, device = output[-1].split()
        if has_gpu() and device == "cpu":
            self.console.say("torch cannot use the GPU here (old driver?): going on with the CPU")
        cached = WHEELS / cache_key(self.mmcv, torch, device)
        for folder in [*self.given_wheels(), cached]:
            wheel = find_wheel(folder, self.mmcv)
            if wheel:
                self.pip("install", "-q", "--no-deps", "--force-reinstall", str(wheel))
                if self.mmcv_works():
                    return
                self.console.say(f"{wheel.name} does not work here: going on without it")
        wheel = self.build_mmcv(cached, device)
        self.pip("install", "-q", "--no-deps", "--force-reinstall", str(wheel))
        if not self.mmcv_works():
            raise SetupError(f"mmcv was built but does not run (log: {self.console.log})")

    def build_mmcv(self, cached: Path, device: str) -> Path:
        """Builds mmcv's wheel into the folder `cached`; a stopped build goes on where it was."""
        complain(missing_for_build())
        jobs = build_jobs()
        estimate = f"about {max(1, BUILD_MINUTES // jobs)} minutes" if device == "cpu" else "long"
        self.console.say(f"building mmcv {self.mmcv} from source ({estimate} on {jobs} cores)")
        cached.mkdir(parents=True, exist_ok=True)
        source = SCRATCH / cached.name
        # pip's own cache would hand back a wheel that was built against another torch.
        options = ["--no-deps", "--no-build-isolation", "--no-cache-dir"]
        if not source.exists():
            with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
                named = f"onedl-mmcv=={self.mmcv}"
                self.pip("download", *options, "--no-binary=onedl-mmcv", "-d", folder, named)
                shutil.unpack_archive(next(Path(folder).glob("*.tar.gz")), folder)
                unpacked = Path(folder).glob("onedl*mmcv*")
                next(path for path in unpacked if path.is_dir()).rename(source)
        with tempfile.TemporaryDirectory(dir=WHEELS) as folder:
            self.pip(
                *("wheel", "-v", *options, "-w", folder, str(source)),
                on_line=Progress(),
                MMCV_WITH_OPS="1",
                FORCE_CUDA=str(int(device != "cpu")),
                MAX_JOBS=str(jobs),
                CFLAGS=f"{os.environ.get('CFLAGS', '')} -g0",
            )
            wheel = next(Path(folder).glob("*.whl"))
            wheel.replace(cached / wheel.name)
        shutil.rmtree(source)
        return cached / wheel.name

    def install_project(self) -> None:
        """Installs this project in place and stamps the environment."""
        self.console.step("installing mmsmlp")
        self.pip("install", "-q", "--no-deps", "--no-build-isolation", "-e", ".")
        STAMP.write_text(f"{environment_key()} {'gpu' if has_gpu() else 'cpu'}")
        self.console.say(f"ready after {self.console.elapsed}")

    def given_wheels(self) -> list[Path]:
        """The folder that the user named, if any."""
        named = os.environ.get("MMSMLP_WHEELS")
        return [Path(named).resolve()] if named else []

    def mmcv_works(self) -> bool:
        """Whether the installed mmcv is the pinned one and its operators run."""
        with contextlib.suppress(SetupError):
            self.console.run([*ISOLATED, "-c", MMCV_WORKS, self.mmcv])
            return True
        return False

    def pip(
        self, *arguments: str, on_line: Callable[[str], None] | None = None, **environment: str
    ) -> None:
        """Runs the environment's pip within the pinned versions."""
        pip = [*ISOLATED, "-m", "pip", *arguments, "-c", CONSTRAINTS]
        if not on_line:
            pip += ["--log", str(self.console.log)]
        environment["PATH"] = f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}"
        self.console.run(pip, on_line=on_line, **environment)


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
    if sys.version_info[:2] != PYTHON_VERSION:
        wanted = "{}.{}".format(*PYTHON_VERSION)
        raise SetupError(
            f"Python {wanted} is needed, this is {sys.version.split()[0]} (apt install "
            f"python{wanted} python{wanted}-venv, or name one: make PYTHON=/path/to/python{wanted})"
        )
    if is_ready():
        return
    with locked() as lock:
        # The one that was waited for may have done it.
        if not is_ready():
            Setup(lock)()


def main() -> int:
    """Runs the set-up; whatever stops it is told in one line."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        set_up()
    except KeyboardInterrupt:
        print("\nsetup: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except (SetupError, OSError) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
