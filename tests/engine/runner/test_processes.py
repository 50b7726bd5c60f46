"""Jobs of several processes without a GPU; tests/tools/test_dist.py starts some."""

from collections.abc import Callable

import pytest
import torch
from mmengine.config import Config
from torch import distributed

from mmsmlp.engine.runner import build_runner, run
from mmsmlp.engine.runner.processes import is_lost_process, join_without_gpu
from mmsmlp.errors import UsageError

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")


def config(**settings: object) -> Config:
    model = dict(
        backbone=dict(norm_cfg=dict(type="SyncBN", requires_grad=True)),
        heads=[dict(norm_cfg=dict(type="MMSyncBN")), dict(norm_cfg=dict(type="GN"))],
    )
    return Config(dict(dict(launcher="pytorch", model=model, sync_bn="torch"), **settings))


def test_the_config_fits_processes_without_a_gpu(in_two_processes: Callable) -> None:
    def work(rank: int) -> dict:
        cfg = config(find_unused_parameters=True)
        join_without_gpu(cfg)
        return cfg.to_dict()

    for cfg in in_two_processes(work):
        assert cfg["model"] == dict(
            backbone=dict(norm_cfg=dict(type="BN", requires_grad=True)),
            heads=[dict(norm_cfg=dict(type="BN")), dict(norm_cfg=dict(type="GN"))],
        )
        assert cfg["model_wrapper_cfg"] == dict(
            type="MMDistributedDataParallel",
            broadcast_buffers=False,
            find_unused_parameters=True,
            device_ids=None,
        )
        assert "sync_bn" not in cfg


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (dict(type="MMDistributedDataParallel", device_ids=[]), dict()),
        (
            dict(broadcast_buffers=True),
            dict(type="MMDistributedDataParallel", device_ids=None),
        ),
        (dict(type="MMFullyShardedDataParallel"), dict()),
    ],
)
def test_a_wrapper_of_the_config_is_kept(
    given: dict, expected: dict, in_two_processes: Callable
) -> None:
    def work(rank: int) -> dict:
        cfg = config(model_wrapper_cfg=dict(given))
        join_without_gpu(cfg)
        return cfg.model_wrapper_cfg.to_dict()

    assert in_two_processes(work) == [{**given, **expected}] * 2


def test_one_process_is_left_alone() -> None:
    cfg = config(launcher="none")
    before = cfg.to_dict()
    join_without_gpu(cfg)
    assert cfg.to_dict() == before and not distributed.is_initialized()


@pytest.mark.parametrize("launcher", ["slurm", "mpi"])
def test_launchers_that_need_a_gpu_are_refused(launcher: str) -> None:
    with pytest.raises(UsageError, match=rf"--launcher: must be 'pytorch' .* got '{launcher}'"):
        build_runner(config(launcher=launcher))


def test_the_end_of_another_process_is_one_line(in_two_processes: Callable) -> None:
    def lose() -> None:
        distributed.all_reduce(torch.ones(1))

    def work(rank: int) -> str:
        if rank == 0:
            with pytest.raises(SystemExit) as stop:
                run(lose, interrupted="begin again")
            return stop.value.code
        distributed.destroy_process_group()
        return ""

    message = in_two_processes(work)[0]
    assert message.startswith("error: lost another process of the job (")
    assert message.endswith("; begin again") and "\n" not in message


def test_other_errors_are_not_taken_for_a_lost_process() -> None:
    assert not is_lost_process(RuntimeError("shape '[2]' is invalid for input of size 3"))
    assert is_lost_process(distributed.DistBackendError("NCCL communicator was aborted"))
