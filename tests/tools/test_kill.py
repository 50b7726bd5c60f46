"""A training that is killed again and again, beside one that is not: `make test-kill`."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmsmlp.checkpoints import read_checkpoint
from tests.helpers import IN_PROCESS, ROOT, TINY_MINI, sampled, write_config

pytest.importorskip("mmseg")

KILLS = int(os.environ.get("MMSMLP_KILLS", 5))
# Imports once what a training needs, then trains in a process of its own for each line.
SERVER = f"""
import functools, json, os, runpy, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # libraries greet
import yapf.yapflib.yapf_api
yapf.yapflib.yapf_api.FormatCode = lambda text, **_: (text, True)  # a config's layout takes long
import matplotlib.figure, mmseg.datasets, mmseg.evaluation, mmseg.models, mmseg.visualization
import mmsmlp.models.backbones, mmsmlp.engine.hooks, mmsmlp.engine.runner
import mmsmlp.datasets.mini.swap as swap
swap.ensure_mini = functools.partial(swap.ensure_mini, **{TINY_MINI!r})
for line in sys.stdin:
    folder, *sys.argv = json.loads(line)
    if not (child := os.fork()):
        os.chdir(folder)
        log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1), os.dup2(log, 2)
        runpy.run_path(sys.argv[0], run_name="__main__")
        sys.stdout.flush()
        os._exit(0)
    print(child, file=answers, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)
"""


@pytest.fixture
def server() -> Iterator[subprocess.Popen]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with subprocess.Popen([sys.executable, "-c", SERVER], env=environment, **pipes) as process:
        yield process
        process.stdin.close()


def train(server: subprocess.Popen, config: Path, folder: Path, kill_after: float = 600) -> int:
    """Train in a folder, or go on there; the exit code is negative if it was killed."""
    folder.mkdir(exist_ok=True)
    options = (
        *("train_cfg.max_iters=4", "train_cfg.val_interval=2", *IN_PROCESS),
        "default_hooks.checkpoint.interval=1",
        *("default_hooks.checkpoint.save_best=mIoU", "default_hooks.logger.interval=1"),
    )
    tool = str(ROOT / "tools" / "train.py")
    arguments = [tool, str(config), "--mini", "--resume", "--work-dir", "work", "--cfg-options"]
    print(json.dumps([str(folder), *arguments, *options]), file=server.stdin, flush=True)
    child = int(server.stdout.readline())
    end = time.monotonic() + kill_after
    while time.monotonic() < end and Path(f"/proc/{child}/root").exists():
        time.sleep(0.005)
    if Path(f"/proc/{child}").exists():
        os.kill(child, signal.SIGKILL)
    return int(server.stdout.readline())


def outcome(folder: Path) -> tuple[dict, list[str], float]:
    """Weights, files, and the last metric."""
    work_dir = folder / "work"
    records = [
        json.loads(line)
        for path in sorted(work_dir.glob("*/vis_data/scalars.json"))
        for line in path.read_text().splitlines()
    ]
    weights = read_checkpoint(work_dir / "iter_4.pth")["state_dict"]
    files = sorted(path.name for path in work_dir.iterdir() if path.is_file())
    return (
        {name: value.tolist() for name, value in weights.items()},
        files,
        [record["mIoU"] for record in records if "mIoU" in record][-1],
    )


@pytest.mark.parametrize("count", sampled([1, KILLS], 2))
def test_a_run_that_is_killed_ends_as_one_that_is_not(
    server: subprocess.Popen, tmp_path: Path, count: int
) -> None:
    config = write_config(tmp_path, "segmentation")
    start = time.monotonic()
    assert train(server, config, tmp_path / "unbroken") == 0
    duration = time.monotonic() - start
    unbroken = outcome(tmp_path / "unbroken")
    # Another seed each time, so that more runs look at more moments; the log has it.
    seed = random.randrange(1 << 30)
    moments = random.Random(seed)
    kills = runs = 0
    while kills < count:
        folder = tmp_path / f"killed_{runs}"
        while (code := train(server, config, folder, moments.uniform(0, duration))) < 0:
            kills += 1
        log = (folder / "log.txt").read_text()
        assert code == 0, f"seed {seed}: {log[-3000:]}"
        assert outcome(folder) == unbroken, f"seed {seed}"
        runs += 1
