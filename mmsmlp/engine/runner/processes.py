"""Several processes on machines without GPUs, where mmengine takes one GPU each for granted."""

from __future__ import annotations

from datetime import timedelta

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from torch import distributed

from mmsmlp.model_zoo import dicts_in

SYNCHRONISED = ("SyncBN", "MMSyncBN")


def join_without_gpu(cfg: Config) -> None:
    """Let the processes of a job meet over gloo, and fit the config to that.

    Where there are GPUs, mmengine does it. Batch norms that synchronise need GPUs: they become
    plain ones.

    Args:
        cfg: The config, changed in place; not changed for one process, or if torch finds a GPU.

    Raises:
        ValueError: If the launcher is not torchrun.
    """
    launcher = cfg.get("launcher", "none")
    if launcher == "none" or get_device() != "cpu":
        return
    if launcher != "pytorch":
        raise ValueError(f"must be 'pytorch' (torchrun) without a GPU, got {launcher!r}")
    if not distributed.is_initialized():
        options = {}
        if timeout := cfg.get("env_cfg", {}).get("dist_cfg", {}).get("timeout"):
            options["timeout"] = timedelta(seconds=timeout)
        distributed.init_process_group("gloo", **options)

    # mmengine's own wrapper, which it builds with the number of a GPU.
    cfg.setdefault(
        "model_wrapper_cfg",
        dict(
            type="MMDistributedDataParallel",
            broadcast_buffers=False,
            find_unused_parameters=cfg.get("find_unused_parameters", False),
        ),
    )
    wrapper = cfg.model_wrapper_cfg
    if wrapper.setdefault("type", "MMDistributedDataParallel").endswith("DistributedDataParallel"):
        wrapper.setdefault("device_ids", None)

    cfg.pop("sync_bn", None)
    norms = [part for part in dicts_in(cfg.model) if part.get("type") in SYNCHRONISED]
    for norm in norms:
        norm["type"] = "BN"
    if norms and is_main_process():
        print("no GPU: SyncBN becomes BN, so each process normalises by its own images")


def is_lost_process(error: RuntimeError) -> bool:
    """Whether an error means that another process of the job has died or does not answer."""
    return isinstance(error, distributed.DistBackendError) or "gloo/transport" in str(error)
