"""Resuming a run from its checkpoint."""

from __future__ import annotations

from mmengine.config import Config

from mmsmlp.checkpoints import newest_checkpoint, read_checkpoint
from mmsmlp.errors import UsageError

from .checking import check_checkpoint


def resume_from(cfg: Config, checkpoint: str, trust: bool = False) -> bool:
    """Let a run resume from a checkpoint, or from the newest in its work directory.

    Args:
        cfg: The config, changed in place. Without a checkpoint yet, the run starts from the
            beginning, with the weights of ``load_from``.
        checkpoint: Path, or ``'auto'`` for the newest one.
        trust: Whether code in checkpoints may run.

    Returns:
        Whether nothing is left to train, but to evaluate.

    Raises:
        UsageError: If there is no such checkpoint, or it is not of a training run.
        CheckpointError: If it cannot be read.
    """
    if checkpoint == "auto":
        found = newest_checkpoint(cfg.work_dir, trust=trust)
        if found is None:
            return False
        path, content = found
    else:
        check_checkpoint(checkpoint)
        path, content = checkpoint, read_checkpoint(checkpoint, trust=trust)
    unit = "epoch" if "max_epochs" in cfg.train_cfg else "iter"
    meta = content.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    lacking = [part for part in ("message_hub", "optimizer") if part not in content]
    if not isinstance(meta.get(unit), int):
        lacking.append(f"{unit} in its meta")
    if lacking:
        raise UsageError(
            f"{path} has no {' and no '.join(lacking)} to resume a run from; to begin with its "
            f"weights, leave --resume out and add --cfg-options load_from={path}"
        )
    finished = meta[unit] >= cfg.train_cfg[f"max_{unit}s"]
    cfg.load_from, cfg.resume = path, True
    if cfg.setdefault("randomness", {}).get("seed") is None:
        # The sampler needs it before the Runner reads the checkpoint.
        cfg.randomness["seed"] = meta.get("seed")
    return finished
