"""What can keep setup_env.py from doing its work, each told in one line with its remedy."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

PYTHON_VERSION = (3, 11)
CUDA = "13.0"

# What pip and the compiler say when something outside this project is amiss, most telling first.
DIAGNOSES = [
    (r"No space left on device", "the disk is full"),
    (
        r"fatal error: Python\.h",
        "the Python headers, Python.h, are missing (apt install python3.11-dev)",
    ),
    (
        r"Killed signal terminated program|fatal error: Killed",
        "the compiler ran out of memory (try again with MAX_JOBS=1)",
    ),
    (
        r"detected CUDA version \(\S+\) mismatches",
        f"nvcc is of another CUDA version than torch (install the CUDA {CUDA} toolkit)",
    ),
    (
        r"CUDA_HOME environment variable is not set|nvcc: (command )?not found",
        f"nvcc is missing (install the CUDA {CUDA} toolkit, or set CUDA_VISIBLE_DEVICES= "
        "to train on the CPU)",
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
        # The second is what pip says of a package whose pinned version it does not find.
        r"(?:No matching distribution found for|Cannot install) (?P<what>\S+)",
        "the package index does not offer {what} (check PIP_INDEX_URL and PIP_NO_INDEX)",
    ),
    (r"DO NOT MATCH THE HASHES|BadZipFile", "a download arrived damaged (try again)"),
    (r"Permission denied: (?P<what>\S+)", "no permission to write {what}"),
]


class SetupError(Exception):
    """Something that the user can mend, told in one line."""


def diagnose(log: str) -> str:
    """What went wrong, from the output of pip or the compiler."""
    for pattern, message in DIAGNOSES:
        found = re.search(pattern, log)
        if found:
            return message.format(**found.groupdict())
    errors = re.findall(r"(?:ERROR|[Ee]rror): *(\S.*)", log)
    return errors[-1].strip() if errors else "it failed without saying why"


def has_gpu() -> bool:
    """Whether an NVIDIA GPU is there and not hidden; asks no torch."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and any(Path("/dev").glob("nvidia[0-9]*"))


def has_nvcc() -> bool:
    """Whether the CUDA compiler is where torch looks for it."""
    homes = (os.environ.get("CUDA_HOME", "/"), "/usr/local/cuda")
    return bool(shutil.which("nvcc")) or any(Path(home, "bin/nvcc").exists() for home in homes)


def missing_for_venv() -> Iterator[str]:
    """What the machine lacks for a virtual environment."""
    if importlib.util.find_spec("ensurepip") is None:
        yield "the venv module (apt install python3.11-venv)"


def missing_for_build() -> Iterator[str]:
    """What the machine lacks for compiling mmcv's operators."""
    if shutil.which(os.environ.get("CXX", "g++").split()[0]) is None:
        yield "a C++ compiler (apt install g++)"
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        yield "the Python headers, Python.h (apt install python3.11-dev)"
    if has_gpu() and not has_nvcc():
        yield (
            f"nvcc for this machine's GPU (install the CUDA {CUDA} toolkit, "
            "or set CUDA_VISIBLE_DEVICES= to train on the CPU)"
        )


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


def complain(problems: Iterator[str]) -> None:
    """Raises all problems as one line, if there are any."""
    line = "; ".join(problems)
    if line:
        raise SetupError(f"this machine lacks {line}")
