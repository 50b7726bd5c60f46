"""tools/dev/setup_env.py from start to end, with an environment whose Python is a script."""

import fcntl
import os
import shutil
import signal
import sys
import sysconfig
import time
from pathlib import Path

import pytest

needs_headers = pytest.mark.skipif(
    not Path(sysconfig.get_paths()["include"], "Python.h").exists(), reason="no Python.h"
)


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
    assert_one_line(sandbox.run(), f"Python 3.99 is needed, this is {version}", "python3.99-venv")


def test_no_compiler_is_one_line(sandbox):
    (sandbox.tools / "g++").unlink()
    assert_one_line(sandbox.run(), "lacks", "a C++ compiler (apt install g++)")
    assert not sandbox.bin.exists()


def test_no_compiler_is_fine_with_a_wheel(sandbox, tmp_path):
    (sandbox.tools / "g++").unlink()
    sandbox.add_venv()
    (tmp_path / sandbox.wheel).write_text("good")
    code, _, err = sandbox.run(MMSMLP_WHEELS=str(tmp_path))
    assert (code, err) == (0, "")


def test_pip_failure_is_one_line_with_the_log(sandbox):
    sandbox.add_venv("sys.exit('ERROR: No matching distribution found for ninja')")
    result = sandbox.run()
    assert_one_line(result, "does not offer ninja", "(log: build/setup/step2.log)")
    assert "[2/5]" in result[1] and "[3/5]" not in result[1]
    log = sandbox.root / "build/setup/step2.log"
    assert "No matching distribution" in log.read_text()


@needs_headers
def test_ready_environment_is_left_alone(sandbox):
    sandbox.add_venv()
    code, out, err = sandbox.run()
    assert (code, err) == (0, "")
    steps = [line[:5] for line in out.splitlines() if line[0] == "["]
    assert steps == [f"[{number}/5]" for number in range(1, 6)]
    calls = sandbox.calls()
    assert sandbox.run() == (0, "", "")
    assert sandbox.calls() == calls


@needs_headers
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


@needs_headers
def test_builds_once_and_keeps_the_wheel(sandbox):
    sandbox.add_venv()
    code, out, _ = sandbox.run()
    assert code == 0
    assert "from source (about " in out and "2/2 files, 100 %" in out
    (wheel,) = sandbox.wheels.glob("*/*")
    assert wheel.name == sandbox.wheel and "-torch2.11.0-cpu-" in wheel.parent.name
    assert wheel.read_text() == "good"
    assert len(list(sandbox.wheels.iterdir())) == 1  # nothing half-made beside it

    shutil.rmtree(sandbox.bin.parent)
    sandbox.add_venv()
    code, out, _ = sandbox.run()
    assert code == 0 and "building" not in out


@needs_headers
def test_wheel_that_does_not_work_is_replaced(sandbox, tmp_path):
    sandbox.add_venv()
    (tmp_path / sandbox.wheel).write_text("built for another torch")
    code, out, _ = sandbox.run(MMSMLP_WHEELS=str(tmp_path))
    assert code == 0
    assert f"{sandbox.wheel} does not work here" in out
    assert "building mmcv" in out
    assert (sandbox.bin / "installed").read_text() == "good"


def test_half_installed_packages_are_dropped(sandbox, tmp_path):
    sandbox.add_venv()
    (site,) = (sandbox.bin.parent / "lib").glob("*/site-packages")
    for name in ("whole-1.dist-info", "half-1.dist-info"):
        (site / name).mkdir()
    (site / "whole-1.dist-info/INSTALLER").write_text("pip\n")
    (tmp_path / sandbox.wheel).write_text("good")
    assert sandbox.run(MMSMLP_WHEELS=str(tmp_path))[0] == 0
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
    assert err.strip() == "setup: interrupted; the same command goes on from here"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert not (sandbox.bin.parent / "mmsmlp-ready").exists()


def test_second_call_waits_for_the_first(sandbox, tmp_path):
    sandbox.add_venv()
    (tmp_path / sandbox.wheel).write_text("good")
    with (sandbox.root / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = sandbox.start(MMSMLP_WHEELS=str(tmp_path))
        assert "waiting for another set-up" in child.stdout.readline()
        assert child.poll() is None and sandbox.calls() == []
    out, _ = child.communicate(timeout=120)
    assert child.returncode == 0 and "[5/5]" in out
