"""Export a trained model to a file for onnxruntime, OpenVINO or torch.

One file takes images of any size, in batches of any size. For a detector, everything except the
decoding of boxes is exported. The file is compared with the model before it is saved.
"""

from pathlib import Path

from mmengine.runner import Runner
from torch import Tensor

from mmsmlp.deploy import PRECISIONS, SUFFIXES, export, load_model
from mmsmlp.deploy.runtimes import DEFAULTS
from mmsmlp.engine.hooks import image_batches
from mmsmlp.engine.runner import (
    base_parser,
    check_checkpoint,
    check_data,
    check_folder,
    load_config,
    run,
)
from mmsmlp.errors import UsageError


def main() -> None:
    parser = base_parser(__doc__)
    parser.add_argument("checkpoint", help="path or URL of the checkpoint")
    parser.add_argument(
        "--out", type=Path, required=True, help="the file; .onnx, .xml (OpenVINO) or .pt2 (torch)"
    )
    parser.add_argument("--format", choices=SUFFIXES, help="default: by the suffix of the file")
    precisions = list(dict.fromkeys(p for allowed in PRECISIONS.values() for p in allowed))
    parser.add_argument("--precision", choices=precisions, default="fp32")
    parser.add_argument("--backbone-only", action="store_true", help="leave neck and heads out")
    parser.add_argument(
        "--images",
        type=int,
        default=128,
        help="training images to calibrate int8 on (default: 128)",
    )
    args = parser.parse_args()
    if args.images < 1:
        raise UsageError(f"--images must be at least 1, got {args.images}")
    suffix = SUFFIXES.get(args.format, args.out.suffix)
    if args.out.suffix != suffix or suffix not in DEFAULTS:
        allowed = suffix if args.format else ", ".join(DEFAULTS)
        raise UsageError(f"--out must end in {allowed}, got {str(args.out)!r}")
    cfg = load_config(args)
    check_folder(str(args.out.parent), "the folder", "--out")
    check_checkpoint(args.checkpoint)
    if args.precision == "int8":
        check_data(cfg, "train")
    loaded = load_model(cfg, args.checkpoint)
    print(f"{loaded.summary}; from {args.checkpoint}")

    def calibration() -> list[Tensor]:
        dataloader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
        batches = image_batches(loaded.model, dataloader, args.images)
        return [image[None] for batch in batches for image in batch]

    options = dict(backbone_only=args.backbone_only, calibration=calibration)
    difference = export(loaded, cfg, args.out, args.precision, **options)
    print(
        f"differs from the model by at most {difference.largest:.2g} of the largest value of a map"
    )
    if difference.refused:
        print(
            f"not compared at {', '.join(difference.refused)}, which the model itself does not take"
        )
    # OpenVINO's weights are in a separate file.
    files = {args.out, args.out.with_suffix(".bin")} if args.out.suffix == ".xml" else {args.out}
    size = sum(path.stat().st_size for path in files)
    print(f"{args.precision}, {size / 2**20:.1f} MiB: {args.out}")


if __name__ == "__main__":
    run(main, interrupted="no file was written")
