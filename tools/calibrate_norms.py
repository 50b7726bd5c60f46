"""Re-estimate the statistics of a checkpoint's batch norms on the images of a task.

The config describes the task: its model, training images and pipeline; labels are not looked at.
The checkpoint may be of that model, or of a classifier with the same backbone. The new one differs
from it in the running statistics of the backbone alone.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from mmengine.dist import get_world_size, is_main_process, master_only
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from torch import Tensor

from mmsmlp.engine.hooks import calibrate_norms, image_batches
from mmsmlp.engine.runner import (
    base_parser,
    build_runner,
    check_checkpoint,
    check_data,
    load_config,
    run,
)
from mmsmlp.errors import UsageError


def main() -> None:
    parser = base_parser(__doc__)
    parser.add_argument("checkpoint", help="path or URL of the checkpoint")
    parser.add_argument("--out", required=True, help="where to write the new checkpoint")
    parser.add_argument(
        "--images", type=int, default=1000, help="training images to look at (default: 1000)"
    )
    args = parser.parse_args()
    if args.images < 1:
        raise UsageError(f"--images must be at least 1, got {args.images}")
    cfg = load_config(args)
    check_checkpoint(args.checkpoint)
    cfg.load_from = args.checkpoint
    check_data(cfg, "train")

    runner = build_runner(cfg, needs="backbone")
    checkpoint = runner.load_checkpoint(args.checkpoint)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    dataloader = Runner.build_dataloader(cfg.train_dataloader, seed=runner.seed)
    num_images = min(args.images, len(dataloader.dataset))
    batches = image_batches(model, dataloader, num_images)
    try:
        norms = calibrate_norms(model.backbone, _with_progress(batches, num_images))
    except ValueError as error:
        raise UsageError(f"{args.config}: {error}") from error

    state = checkpoint.get("state_dict", checkpoint)
    names = [f"backbone.{norm}.running_{of}" for norm in norms for of in ("mean", "var")]
    # Norms of outputs that a classifier does not have are written as well: they fit the task.
    state.update((name, model.state_dict()[name].cpu()) for name in names)
    _write(checkpoint, Path(args.out), f"{len(norms)} batch norms, {num_images} images")


def _with_progress(batches: Iterable[Tensor], num_images: int) -> Iterator[Tensor]:
    """Show how many images all ranks have seen, estimated from this one."""
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(
        *columns, console=Console(stderr=True), disable=not is_main_process()
    ) as progress:
        task = progress.add_task("images", total=num_images)
        for batch in batches:
            yield batch
            progress.advance(task, len(batch) * get_world_size())


@master_only
def _write(checkpoint: dict, path: Path, summary: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)
    Console(highlight=False, soft_wrap=True).print(f"{summary}: {path}")


if __name__ == "__main__":
    run(main)
