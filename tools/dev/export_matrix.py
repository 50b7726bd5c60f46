"""Export the segmentors and dense detectors of the swap's table, and compare the files with them.

Prints the results, or with --write renews the table in docs/deployment.md.
"""

import argparse
import logging
import tempfile
from pathlib import Path

import torch
from documents import DOCS, renew_tables
from mmengine.config import Config
from swap_matrix import CONFIGS, outcomes, swapped

from mmsmlp.deploy import export
from mmsmlp.deploy.exporting import Loaded
from mmsmlp.engine.runner import markdown_table
from mmsmlp.errors import ExportError, SwapError
from mmsmlp.swap import build_model

DOCUMENT = DOCS / "deployment.md"
HEADING = "## Supported models\n"
BACKBONE = "sMLPNet"
# Of one stage, with a head that looks at every place of its maps.
DENSE = (
    *("atss", "autoassign", "boxinst", "centernet", "condinst", "dyhead", "fcos", "foveabox"),
    *("fsaf", "gfl", "nas_fpn", "paa", "reppoints", "retinanet", "rtmdet", "solo", "solov2"),
    *("tood", "vfnet", "yolact", "yolo", "yolof", "yolox"),
)
NAMES = [
    name
    for name in CONFIGS
    if name.startswith("mmseg::") or name.removeprefix("mmdet::").partition("/")[0] in DENSE
]
# The last is no multiple of anything that models pad to.
SIZES = ((96, 160), (320, 256), (301, 205))
LOOP = "its head goes through the images of a batch in Python"
# Explanations of the errors of some models.
REASONS = {
    "dyhead": (
        "Offset spatial",
        "it gives a deformable convolution the offsets of another level, of another size",
    ),
    "tood": ("Constraints violated", LOOP),
    "solo": (
        "differs from the model",
        "its head keeps local maxima only, and of two that are equal to rounding another one",
    ),
    "point_rend": (
        "int() argument",
        "how many points it refines depends on the size of the image",
    ),
    "knet": ("Constraints violated", LOOP),
    "maskformer": ("IndexError", LOOP),
    "mask2former": ("not allocated", "its pixel decoder reads the sizes of maps out of tensors"),
    "dmnet": (
        "Unsupported attribute",
        "it makes a convolution for each image: the number of its groups is that of the images",
    ),
}


def check(name: str) -> str | None:
    """Export, run and compare.

    Returns:
        Sizes that the model does not accept, if any.

    Raises:
        ExportError: If a model cannot be exported, or its file gives something else.
    """
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    try:
        cfg = swapped(name, BACKBONE)
    except SwapError as error:
        raise ExportError(f"no swap: {error}") from error
    model = build_model(cfg)
    model.init_weights()
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        try:
            _, refused = export(Loaded(model.eval(), {}, ""), Config(cfg), path, sizes=SIZES)
        except ExportError as error:
            sign, words = REASONS.get(name.partition("::")[2].partition("/")[0], ("", ""))
            if not words or sign not in str(error):
                raise
            raise ExportError(words) from error
    return f"✔ ({', '.join(refused)} is no size for the model itself)" if refused else None


def table(found: dict[tuple[str, ...], str]) -> str:
    """Markdown table, a config a row."""
    return markdown_table(
        [["config", "exported"], *([f"`{name}`", found[name,] or "✔"] for name in NAMES)]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"renew the table in {DOCUMENT.name}")
    parser.add_argument("--processes", type=int, default=2, help="to share the work (default: 2)")
    args = parser.parse_args()
    text = table(outcomes(check, [(name,) for name in NAMES], ExportError, args.processes))
    print(text, end="")
    if args.write:
        renew_tables(DOCUMENT, text, below=HEADING)


if __name__ == "__main__":
    main()
