"""Arguments that tools share."""

from __future__ import annotations

import argparse

from mmengine.config import DictAction


def base_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the arguments that training and testing share.

    Args:
        description: Description of the tool.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", help="its path, or `mmsmlp::…`, `mmdet::…` for an installed one")
    parser.add_argument("--work-dir", help="where to write (default: work_dirs/<config's name>)")
    parser.add_argument(
        "--mini",
        action="store_true",
        help="use the built-in mini data set and a short schedule; heads get cheaper",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        help="settings to override, e.g. `model.backbone.with_cp=True train_cfg.max_epochs=36`",
    )
    add_trust_argument(parser)
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm", "mpi"],
        default="none",
        help="how several processes were started",
    )
    # torch.distributed.launch passes this and LOCAL_RANK; mmengine reads the latter.
    parser.add_argument("--local-rank", "--local_rank", type=int, help=argparse.SUPPRESS)
    return parser


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that :func:`~mmsmlp.checkpoints.guard_loading` takes."""
    parser.add_argument(
        "--trust-checkpoint",
        action="store_true",
        help="run the code in checkpoints that hold more than tensors and the state of a run",
    )
