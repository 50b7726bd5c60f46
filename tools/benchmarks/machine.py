"""The machine of a measurement, without names of computers, persons or folders."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch

import mmsmlp

from .subjects import ROOT

# Flags of a processor for the width of its arithmetic.
FLAGS = r"avx\w*|amx\w*|fma\w*|f16c|asimd\w*|sve\w*|bf16|i8mm|neon"
CPUINFO = Path("/proc/cpuinfo")


def describe_machine(device: str) -> dict[str, Any]:
    """Processor, memory and system, and the GPU if that is the device."""
    found = dict(processor(), memory_gib=memory_gib(), system=system())
    if device == "cuda":
        gpu = torch.cuda.get_device_properties(0)
        found["gpu"] = dict(
            name=gpu.name,
            memory_gib=round(gpu.total_memory / 2**30, 1),
            capability=f"{gpu.major}.{gpu.minor}",
            tf32=dict(
                products=torch.backends.cuda.matmul.allow_tf32,
                convolutions=torch.backends.cudnn.allow_tf32,
            ),
        )
    return found


def processor() -> dict[str, Any]:
    """The processor, if the system reports it."""
    cores = os.cpu_count()
    if not CPUINFO.exists():
        return dict(processor=platform.processor() or platform.machine(), cores=cores)
    entries = dict(re.findall(r"(?m)^([\w ]+?)\s*: (.*)$", CPUINFO.read_text()))
    flags = entries.get("flags", entries.get("Features", "")).split()
    return dict(
        processor=entries.get("model name", platform.machine()),
        family=entries.get("cpu family"),
        model=entries.get("model"),
        cores=cores,
        flags=sorted(flag for flag in flags if re.fullmatch(FLAGS, flag)),
    )


def memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError):  # not known everywhere
        return None


def system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def describe_software() -> dict[str, Any]:
    """Versions of the software."""
    build = torch.__config__.show()
    libraries = {
        name: found[1]
        for name, pattern in {
            "blas": r"BLAS_INFO=(\w+)",
            "mkl": r"(?:Math Kernel Library|MKL) Version (\S+)",
            "onednn": r"MKL-DNN v(\S+)",
            "cpu_capability": r"CPU capability usage: (\w+)",
        }.items()
        if (found := re.search(pattern, build))
    }
    installed = {(d.metadata["Name"] or "").lower(): d.version for d in distributions()}
    names = r"(onedl-)?mm(cv|det(ection)?|engine|pretrain|segmentation)"
    return dict(
        python=platform.python_version(),
        torch=torch.__version__,
        cuda=torch.version.cuda,
        libraries=libraries,
        packages={name: installed[name] for name in sorted(installed) if re.fullmatch(names, name)},
        mmsmlp=mmsmlp.__version__,
        revision=revision(ROOT),
    )


def revision(checkout: Path) -> str | None:
    """The commit of a checkout, ``-dirty`` if its mmsmlp differs from that; unknown without git."""
    try:
        # An environment may lie within a checkout of something else.
        _git(checkout, "ls-files", "--error-unmatch", "mmsmlp/__init__.py")
        commit = _git(checkout, "rev-parse", "--short=10", "HEAD")
        changed = _git(checkout, "status", "--porcelain", "--", "mmsmlp")
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("-dirty" if changed else "")


def _git(folder: Path, *command: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *command], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
