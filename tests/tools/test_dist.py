"""The launchers of several processes, on networks of a second each."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mmengine.config import Config

import mmsmlp.datasets.mini.swap

ROOT = Path(__file__).parents[2]
ARCH = dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratio=2)


@pytest.fixture
def environment() -> dict[str, str]:
    """For the launchers, at a port of their own and without a GPU."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def small_detector(in_tiny_mini: Path, tmp_path: Path) -> Path:
    """The recipe of Mask R-CNN with a small network on the tiny mini data set."""
    pytest.importorskip("mmdet")
    cfg = Config.fromfile(ROOT / "configs" / "mask_rcnn_smlpnet_t.py")
    mmsmlp.datasets.mini.swap.use_mini(cfg)
    roi_head = dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=16),
        mask_roi_extractor=dict(out_channels=16),
        mask_head=dict(in_channels=16, conv_out_channels=16),
    )
    model = dict(
        backbone=dict(arch=dict(ARCH, _delete_=True), img_size=64),
        neck=dict(in_channels=list(ARCH["embed_dims"]), out_channels=16),
        rpn_head=dict(in_channels=16, feat_channels=16),
        roi_head=roi_head,
    )
    in_process = dict(num_workers=0, persistent_workers=False)
    cfg.merge_from_dict(
        dict(
            model=model,
            train_cfg=dict(max_iters=2, val_interval=2),
            default_hooks=dict(logger=dict(interval=1)),
            train_dataloader=dict(in_process, batch_size=2),
            val_dataloader=in_process,
            test_dataloader=in_process,
        )
    )
    path = tmp_path / "small.py"
    cfg.dump(path)
    return path


def launch(script: str, *arguments: object, environment: dict[str, str]) -> str:
    """What a launcher prints; it has to succeed within two minutes."""
    result = subprocess.run(
        [ROOT / "tools" / script, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout[-4000:]
    return result.stdout


def values(output: str) -> dict[str, float]:
    """Metrics at the end, by their names."""
    rows = re.findall(r"^│ (coco/\S+) +│ (\S+)", output, re.M)
    return {name: float(value) for name, value in rows}


@pytest.mark.long
def test_a_detector_trains_and_is_tested_in_two_processes(
    small_detector: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    work_dir = ("--work-dir", tmp_path / "work")
    trained = launch("dist_train.sh", small_detector, 2, *work_dir, environment=environment)
    assert "Distributed launcher: pytorch" in trained and "Iter(train) [2/2]" in trained
    assert trained.count("no GPU: SyncBN becomes BN") == 1
    checkpoint = tmp_path / "work" / "iter_2.pth"
    tested = launch(
        "dist_test.sh", small_detector, checkpoint, 2, *work_dir, environment=environment
    )
    after, before = values(tested), values(trained)
    assert len(after) == 12 and after.keys() == before.keys()
    # At the end of training each process evaluates with the running statistics of its own norms.
    assert after == pytest.approx(before, abs=0.003)


# Imports no library of OpenMMLab but mmengine, for there are four starts.
TOY = """
import torch
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS


@DATASETS.register_module()
class Toys(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        return dict(x=torch.full((3, 16, 16), i / 8), y=torch.tensor(i % 2))


@MODELS.register_module()
class ToyModel(BaseModel):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = MODELS.build(backbone)

    def forward(self, x, y, mode):
        (maps,) = self.backbone(x)
        return dict(loss=torch.nn.functional.cross_entropy(maps.mean((2, 3)), y))
"""
TOY_CONFIG = """
custom_imports = dict(imports=["toy"])
default_scope = "mmengine"
arch = dict(embed_dims=(4,), depths=(1,), mlp_ratio=1, patch_sizes=(4,))
model = dict(type="ToyModel", backbone=dict(type="mmsmlp.S2MLPv2", arch=arch, out_indices=0))
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="InfiniteSampler"),
    collate_fn=dict(type="default_collate"),
    dataset=dict(type="Toys"),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=100000)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.01))
default_hooks = dict(
    logger=dict(type="LoggerHook", interval=1),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=5, max_keep_ckpts=2),
)
log_processor = dict(by_epoch=False)
"""


@pytest.mark.long
def test_when_a_machine_is_lost_the_other_ends_and_both_resume(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Two machines of one process each, played by two agents of torchrun."""
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "config.py").write_text(TOY_CONFIG)
    environment["PYTHONPATH"] += f":{tmp_path}"
    last = tmp_path / "work" / "last_checkpoint"

    def start(machine: int, *options: str) -> subprocess.Popen:
        return subprocess.Popen(
            [
                *(ROOT / "tools" / "dist_train.sh", tmp_path / "config.py", "1"),
                *("--resume", "--work-dir", tmp_path / "work", *options),
            ],
            env={**environment, "NNODES": "2", "NODE_RANK": str(machine)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    machines = [start(0), start(1)]
    try:
        waited_until = time.monotonic() + 60
        while not last.exists() and time.monotonic() < waited_until:
            time.sleep(0.1)
        assert last.exists(), machines[0].communicate(timeout=1)[0]
        worker = subprocess.check_output(["pgrep", "-P", str(machines[1].pid)], text=True)
        for pid in (machines[1].pid, int(worker)):
            os.kill(pid, signal.SIGKILL)
        output, _ = machines[0].communicate(timeout=60)
        assert machines[0].returncode not in (0, None)
        (line,) = re.findall(r"^error: .*$", output, re.M)
        assert line.startswith("error: lost another process of the job (")
        assert line.endswith("the same command with --resume continues from the last checkpoint")

        reached = int(re.search(r"iter_(\d+)\.pth", last.read_text())[1])
        options = ("--cfg-options", f"train_cfg.max_iters={reached + 5}")
        machines = [start(0, *options), start(1, *options)]
        outputs = [machine.communicate(timeout=60)[0] for machine in machines]
    finally:
        for machine in machines:
            machine.terminate()  # which ends its process as well; a kill would not
            machine.wait(timeout=60)
    assert [machine.returncode for machine in machines] == [0, 0], outputs[0][-3000:]
    steps = [int(step) for step in re.findall(r"Iter\(train\) *\[ *(\d+)/", outputs[0])]
    assert steps == list(range(reached + 1, reached + 6))
    assert last.read_text().endswith(f"iter_{reached + 5}.pth")


@pytest.mark.parametrize(
    ("script", "arguments", "expected"),
    [
        ("dist_train.sh", "c.py 2 --amp", ["train.py", "c.py", "--amp"]),
        ("dist_test.sh", "c.py x.pth 2 --out y", ["test.py", "c.py", "x.pth", "--out", "y"]),
    ],
)
def test_torchrun_is_asked_for_a_process_per_gpu(
    script: str, arguments: str, expected: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    environment |= {"PYTHON": str(python), "NNODES": "3", "NODE_RANK": "1", "MASTER_ADDR": "host"}
    words = launch(script, *arguments.split(), environment=environment).splitlines()
    port = environment["MASTER_PORT"]
    assert words[:7] == [
        *("-m", "torch.distributed.run", "--nnodes=3", "--node_rank=1", "--master_addr=host"),
        *(f"--master_port={port}", "--nproc_per_node=2"),
    ]
    tool, *rest = expected
    assert words[7:] == [str(ROOT / "tools" / tool), "--launcher", "pytorch", *rest]


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ({"GPUS": "16", "GPUS_PER_NODE": "4"}, ("4", "16", "4")),
        ({"GPUS": "16"}, ("8", "16", "8")),
        ({"GPUS": "2"}, ("2", "2", "2")),
        ({}, ("8", "8", "8")),
    ],
)
def test_slurm_is_asked_for_a_process_per_gpu(
    gpus: dict[str, str], expected: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    environment |= {"PATH": f"{tmp_path}:{environment['PATH']}", "SRUN_ARGS": "-w a -x b", **gpus}
    words = launch(
        "slurm_train.sh", "part", "job", "c.py", "--work-dir", "a b", environment=environment
    ).splitlines()
    assert words == [
        *("-p", "part", "--job-name=job", f"--gres=gpu:{expected[0]}"),
        *(f"--ntasks={expected[1]}", f"--ntasks-per-node={expected[2]}", "--cpus-per-task=5"),
        *("--kill-on-bad-exit=1", "-w", "a", "-x", "b", sys.executable, "-u"),
        *(str(ROOT / "tools" / "train.py"), "c.py", "--launcher", "slurm", "--work-dir", "a b"),
    ]
