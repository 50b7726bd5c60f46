"""tools/dev/setup_env.py: its parts, and all of it with an environment whose Python is a script."""

import ast
import fcntl
import os
import shutil
import signal
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest
import setup_env

ROOT = Path(__file__).resolve().parents[3]
PINS = dict(
    line.split("==")
    for line in (ROOT / "requirements/constraints.txt").read_text().splitlines()
    if "==" in line
)
Usage = namedtuple("Usage", "total used free")


def assert_one_line(result: tuple[int, str, str], *parts: str) -> None:
    code, _, err = result
    assert code == 1
    assert err.startswith("setup: ") and err.count("\n") == 1
    for part in parts:
        assert part in err


def wait_for(condition, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_wrong_python_is_one_line(sandbox):
    sandbox.want_python((3, 99))
    version = sys.version.split()[0]
    assert_one_line(sandbox.run(), f"Python 3.99 will do, this is {version}", "make PYTHON=")


def test_unknown_operators_are_one_line(sandbox):
    assert_one_line(sandbox.run(OPERATORS="all"), "OPERATORS is all, and may be torchvision or")


def test_pip_failure_is_one_line_with_the_log(sandbox):
    sandbox.add_venv("sys.exit('ERROR: No matching distribution found for ninja')")
    result = sandbox.run()
    assert_one_line(result, "does not offer ninja", "(log: build/setup.log)")
    assert "[1/4]" in result[1] and "[2/4]" not in result[1]
    log = sandbox.root / "build/setup.log"
    assert "No matching distribution" in log.read_text()


def test_ready_environment_is_left_alone(sandbox):
    sandbox.add_venv()
    code, out, err = sandbox.run()
    assert (code, err) == (0, "")
    steps = [line[:5] for line in out.splitlines() if line[0] == "["]
    assert steps == [f"[{number}/4]" for number in range(1, 5)]
    calls = sandbox.calls()
    assert sandbox.run() == (0, "", "")
    assert sandbox.calls() == calls


@pytest.mark.parametrize(
    "change", ["requirements/constraints.txt", "requirements/opencv-stand-in/pyproject.toml"]
)
def test_changed_pins_bring_it_up_to_date(sandbox, change):
    sandbox.add_venv()
    sandbox.run()
    calls = len(sandbox.calls())
    with (sandbox.root / change).open("a") as file:
        file.write("# changed\n")
    assert sandbox.run()[0] == 0
    assert len(sandbox.calls()) > calls
    assert sandbox.run() == (0, "", "")


def test_no_compiler_is_asked_for_unless_operators_are_to_be_compiled(sandbox):
    sandbox.add_venv()
    assert sandbox.run()[0] == 0
    (mmcv,) = (call for call in sandbox.calls() if " onedl-mmcv " in call)
    assert mmcv.startswith("0 ") and "--no-build-isolation" not in mmcv
    assert not any("ninja" in call for call in sandbox.calls())


def test_compiled_operators_replace_the_others_once(sandbox):
    sandbox.add_venv()
    sandbox.run()
    code, out, err = sandbox.run(OPERATORS="compiled")
    assert (code, err) == (0, "") and "compiling mmcv" in out
    *_, mmcv = (call for call in sandbox.calls() if " onedl-mmcv " in call)
    assert mmcv.startswith("1 ")
    assert {"--no-build-isolation", "--no-cache-dir", "--force-reinstall"} <= set(mmcv.split())
    # They serve those who did not ask for them as well.
    assert sandbox.run(OPERATORS="compiled") == sandbox.run() == (0, "", "")


def test_half_installed_packages_are_dropped(sandbox):
    sandbox.add_venv()
    (site,) = (sandbox.bin.parent / "lib").glob("*/site-packages")
    for name in ("whole-1.dist-info", "half-1.dist-info"):
        (site / name).mkdir()
    (site / "whole-1.dist-info/INSTALLER").write_text("pip\n")
    assert sandbox.run()[0] == 0
    assert [path.name for path in site.iterdir()] == ["whole-1.dist-info"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_is_one_line_and_leaves_nothing_running(sandbox, number):
    sandbox.add_venv(
        """
        import os
        (here / 'pid').write_text(str(os.getpid()))
        time.sleep(60)
        """
    )
    child = sandbox.start()
    pid = sandbox.bin / "pid"
    wait_for(lambda: pid.exists() and pid.read_text())
    child.send_signal(number)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 130
    assert err.strip() == "setup: interrupted; the same command continues from here"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert not (sandbox.bin.parent / "mmsmlp-ready").exists()


def test_second_call_waits_for_the_first(sandbox):
    sandbox.add_venv()
    with (sandbox.root / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = sandbox.start()
        assert "waiting for another set-up" in child.stdout.readline()
        assert child.poll() is None and sandbox.calls() == []
    out, _ = child.communicate(timeout=120)
    assert child.returncode == 0 and "[4/4]" in out


def test_pins_are_the_measured_versions():
    assert (PINS["torch"], PINS["onedl-mmcv"]) == ("2.11.0", "2.3.6")
    assert not any(name.startswith(("nvidia", "cuda", "triton")) for name in PINS)


def test_opencv_stand_in_has_the_pinned_version():
    text = (ROOT / "requirements/opencv-stand-in/pyproject.toml").read_text()
    assert f'version = "{PINS["opencv-python"]}+headless"' in text
    assert f"opencv-python-headless=={PINS['opencv-python-headless']}" in text


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


@pytest.mark.parametrize(
    ("log", "part"),
    [
        ("ERROR: ... OSError: [Errno 28] No space left on device", "disk is full"),
        ("x.h:9:10: fatal error: Python.h: No such file", "apt install python3-dev"),
        ("error: command 'g++' failed: No such file or directory", "apt install g++"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'c++'", "apt install g++"),
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
        ("RuntimeError: The detected CUDA version (12.4) mismatches", "CUDA toolkit of torch's"),
        ("OSError: CUDA_HOME environment variable is not set.", "nvcc is missing"),
        ("[Errno 13] Permission denied: '/home/x'", "no permission to write '/home/x'"),
        ("Collecting x\nERROR: first\nERROR: the last word\n", "the last word"),
        ("", "without saying why"),
    ],
)
def test_diagnose(log, part):
    line = setup_env.diagnose(log)
    assert part in line
    assert "\n" not in line


def test_missing_space_adds_up_within_a_file_system(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 8e9))
    both = {tmp_path / "not/yet/there": 6.0, tmp_path: 3.0}
    assert list(setup_env.missing_space(both)) == [
        f"disk space at {tmp_path} (9.0 GB needed, 8.0 GB free)"
    ]
    assert list(setup_env.missing_space({tmp_path: 6.0})) == []


def test_parses_on_old_pythons_to_tell_them_so():
    ast.parse((ROOT / "tools/dev/setup_env.py").read_text(), feature_version=(3, 8))
