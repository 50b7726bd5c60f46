"""Write an annotation file of the first images, by id, that have objects; COCO's format."""

import argparse
import json
from pathlib import Path

from mmsmlp.engine.runner import run
from mmsmlp.errors import UsageError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("annotations", type=Path, help="the .json of the complete set")
    parser.add_argument("out", type=Path, help="where to write")
    parser.add_argument("--images", type=int, default=16, help="how many (default: 16)")
    args = parser.parse_args()
    content = read(args.annotations)
    if args.images < 1:
        raise UsageError(f"--images must be at least 1, got {args.images}")

    # All that is of the chosen images stays, crowds included, and so do all categories.
    chosen = sorted({annotation["image_id"] for annotation in content["annotations"]})
    chosen = chosen[: args.images]
    if len(chosen) < args.images:
        raise UsageError(
            f"--images is {args.images}, and {args.annotations} has {len(chosen)} with objects"
        )
    content["images"] = sorted(
        (image for image in content["images"] if image["id"] in chosen),
        key=lambda image: image["id"],
    )
    content["annotations"] = [
        annotation for annotation in content["annotations"] if annotation["image_id"] in chosen
    ]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(content))
    print(f"{args.out}: {len(chosen)} images, {len(content['annotations'])} annotations")


def read(path: Path) -> dict:
    """Content of an annotation file.

    Raises:
        UsageError: If it is missing, or not of COCO's format.
    """
    if not path.is_file():
        raise UsageError(f"annotations {str(path)!r} do not exist")
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    lacking = [key for key in ("images", "annotations") if key not in content]
    if lacking:
        raise UsageError(f"{path} has no {' and no '.join(lacking)}, as files of COCO's format do")
    return content


if __name__ == "__main__":
    run(main)
