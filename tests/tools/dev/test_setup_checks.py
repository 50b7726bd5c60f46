"""The parts of the set-up that need no environment."""

import ast
import os
import shutil
import sys
import sysconfig
import time
from collections import namedtuple
from pathlib import Path

import pytest
import setup_checks
import setup_console
import setup_env

ROOT = Path(__file__).resolve().parents[3]


def test_pins_are_the_measured_versions():
    pins = setup_env.pins()
    assert pins["torch"] == "2.11.0"
    assert pins["onedl-mmcv"] == "2.3.6"
    assert not any(name.startswith(("nvidia", "cuda", "triton")) for name in pins)


def test_opencv_stand_in_has_the_pinned_version():
    text = (ROOT / "requirements/opencv-stand-in/pyproject.toml").read_text()
    pins = setup_env.pins()
    assert f'version = "{pins["opencv-python"]}+headless"' in text
    assert f"opencv-python-headless=={pins['opencv-python-headless']}" in text


def test_families_stay_apart():
    read = {
        name: (ROOT / f"requirements/{name}.txt").read_text().splitlines()
        for name in ("runtime", "onedl", "upstream", "dev", "build")
    }
    assert any(line.startswith("onedl-mmcv") for line in read["onedl"])
    assert any(line.startswith("mmcv") for line in read["upstream"])
    assert not any(line.startswith("onedl") for line in read["upstream"])
    assert not any(line.startswith("mm") for line in read["onedl"])
    assert not any(
        line.startswith(("mm", "onedl"))
        for name in ("runtime", "dev", "build")
        for line in read[name]
    )


def test_cache_key_tells_builds_apart():
    key = setup_env.cache_key("2.3.6", "2.11.0", "cpu")
    assert key.startswith(f"mmcv2.3.6-torch2.11.0-cpu-{sys.implementation.cache_tag}-linux_")
    others = [("2.3.7", "2.11.0", "cpu"), ("2.3.6", "2.12.0", "cpu"), ("2.3.6", "2.11.0", "sm90")]
    assert len({key, *(setup_env.cache_key(*other) for other in others)}) == 4


def test_find_wheel_takes_only_what_fits(tmp_path, monkeypatch):
    monkeypatch.setattr(setup_env, "PYTHON_VERSION", (3, 11))
    machine = os.uname().machine
    for name in (
        f"onedl_mmcv-2.3.5-cp311-cp311-linux_{machine}.whl",
        f"onedl_mmcv-2.3.6-cp310-cp310-linux_{machine}.whl",
        "onedl_mmcv-2.3.6-cp311-cp311-linux_sparc.whl",
        f"mmcv-2.3.6-cp311-cp311-linux_{machine}.whl",
    ):
        (tmp_path / name).touch()
    assert setup_env.find_wheel(tmp_path, "2.3.6") is None
    fitting = tmp_path / f"onedl_mmcv-2.3.6-cp311-cp311-linux_{machine}.whl"
    fitting.touch()
    assert setup_env.find_wheel(tmp_path, "2.3.6") == fitting


@pytest.mark.parametrize(
    ("memory", "cores", "jobs"), [(64e9, 2, 2), (3e9, 8, 1), (9e9, 8, 4), (1e9, 8, 1)]
)
def test_build_jobs_fit_into_memory(monkeypatch, memory, cores, jobs):
    monkeypatch.delenv("MAX_JOBS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    sizes = {"SC_PHYS_PAGES": int(memory / 4096), "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", sizes.get)
    assert setup_env.build_jobs() == jobs


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  [3/78] c++ -MMD -c nms.cpp", (3, 78)),
        ("[78/78] c++ -shared", (78, 78)),
        ("  creating build/temp", None),
        ("see [1] or 2/3", None),
        ("FAILED: [code=1] nms.o", None),
    ],
)
def test_ninja_progress(line, expected):
    assert setup_console.ninja_progress(line) == expected


def test_progress_prints_every_tenth_with_time_left(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = setup_console.Progress()
    for done in range(1, 41):
        now[0] += 3
        progress(f"[{done}/40] c++")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].split() == ["4/40", "files,", "10", "%,", "1:48", "left"]
    assert lines[-1].split() == ["40/40", "files,", "100", "%,", "0:00", "left"]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34")])
def test_clock(seconds, text):
    assert setup_console.clock(seconds) == text


@pytest.mark.parametrize(
    ("log", "part"),
    [
        ("ERROR: ... OSError: [Errno 28] No space left on device", "disk is full"),
        ("x.h:9:10: fatal error: Python.h: No such file", "apt install python3.11-dev"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "MAX_JOBS=1"),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError("
            "'Failed to establish a new connection: [Errno -2] Name or service not known')'\n"
            "ERROR: No matching distribution found for ninja",
            "cannot be reached",
        ),
        ("ERROR: No matching distribution found for torch==2", "does not offer torch==2 ("),
        ("ERROR: Cannot install ninja because these package versions have", "not offer ninja ("),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "damaged"),
        ("RuntimeError: The detected CUDA version (12.4) mismatches", "CUDA 13.0 toolkit"),
        ("OSError: CUDA_HOME environment variable is not set.", "nvcc is missing"),
        ("[Errno 13] Permission denied: '/home/x'", "no permission to write '/home/x'"),
        ("Collecting x\nERROR: first\nERROR: the last word\n", "the last word"),
        ("", "without saying why"),
    ],
)
def test_diagnose(log, part):
    line = setup_checks.diagnose(log)
    assert part in line
    assert "\n" not in line


Usage = namedtuple("Usage", "total used free")


def test_missing_space_adds_up_within_a_file_system(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 8e9))
    both = {tmp_path / "not/yet/there": 6.0, tmp_path: 3.0}
    assert list(setup_checks.missing_space(both)) == [
        f"disk space at {tmp_path} (9.0 GB needed, 8.0 GB free)"
    ]
    assert list(setup_checks.missing_space({tmp_path: 6.0})) == []


def test_missing_for_build_names_all(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setattr(setup_checks, "has_gpu", lambda: True)
    monkeypatch.setattr(setup_checks, "has_nvcc", lambda: False)
    compiler, headers, nvcc = setup_checks.missing_for_build()
    assert "apt install g++" in compiler
    assert "Python.h (apt install python3.11-dev)" in headers
    assert "nvcc" in nvcc and "CUDA_VISIBLE_DEVICES= " in nvcc
    with pytest.raises(setup_checks.SetupError, match=r"lacks a C\+\+ .*; the Python .*; nvcc"):
        setup_checks.complain(setup_checks.missing_for_build())


def test_missing_for_build_is_content_with_another_compiler(tmp_path, monkeypatch):
    (tmp_path / "clang++").touch(mode=0o755)
    (tmp_path / "Python.h").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "clang++ -v")
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setattr(setup_checks, "has_gpu", lambda: False)
    assert list(setup_checks.missing_for_build()) == []


def test_hidden_gpu_is_none(monkeypatch):
    monkeypatch.setattr(Path, "glob", lambda *_: iter([Path("/dev/nvidia0")]))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert setup_checks.has_gpu()
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not setup_checks.has_gpu()


def test_parses_on_old_pythons_to_tell_them_so():
    for path in (ROOT / "tools").glob("setup_*.py"):
        ast.parse(path.read_text(), feature_version=(3, 8))
