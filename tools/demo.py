"""Try a trained model on images, in a browser."""

import argparse
from pathlib import Path

from mmengine.device import get_device

from mmsmlp.apis.demo import (
    Choice,
    PredictionService,
    example_images,
    find_choices,
    own_folder,
    serve,
)
from mmsmlp.checkpoints import guard_loading
from mmsmlp.engine.runner import add_trust_argument, read_config, run
from mmsmlp.errors import UsageError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", nargs="?", help="path of the config, or `mmsmlp::…`")
    parser.add_argument("checkpoint", nargs="?", help="path or URL of the checkpoint")
    parser.add_argument(
        "--work-dirs",
        type=Path,
        default="work_dirs",
        help="folder of trainings, whose checkpoints can be chosen, too (default: work_dirs)",
    )
    parser.add_argument(
        "--examples", nargs="+", metavar="IMAGE", help="default: some of the config's test images"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument("--port", type=int, help="default: the first free one from 7860 on")
    parser.add_argument("--device", help="such as cuda:1 (default: a GPU if there is one)")
    add_trust_argument(parser)
    args = parser.parse_args()
    guard_loading(args.trust_checkpoint)
    choices = {}
    if args.config:
        if not args.checkpoint:
            raise UsageError(f"name a checkpoint of {args.config}, too")
        name = f"{Path(args.config).stem} / {Path(args.checkpoint).stem}"
        choices[name] = Choice(args.config, args.checkpoint)
    named = set(choices.values())
    found = find_choices(args.work_dirs)
    choices |= {name: choice for name, choice in found.items() if choice not in named}
    if not choices:
        raise UsageError(f"name a config and a checkpoint: there are none in {args.work_dirs}")
    for image in args.examples or []:
        if not Path(image).is_file():
            raise UsageError(f"there is no image {image!r} (looked in {Path.cwd()})")
    first = next(iter(choices))
    cfg = read_config(choices[first].config)
    with own_folder() as folder:
        service = PredictionService(choices, args.device or get_device())
        print(f"{first}: {service.load(first)}")
        serve(service, args.examples or example_images(cfg, folder), args.host, args.port)


if __name__ == "__main__":
    run(main, interrupted="the page is closed")
