"""One pass through a backbone that was exported to a file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from mmcv.cnn import fuse_conv_bn
from torch import Tensor

from mmsmlp.deploy import Exported
from mmsmlp.deploy.exporters import quiet
from mmsmlp.deploy.parts import Part, flatten, output_names, parts_of
from mmsmlp.deploy.quantizing import quantize
from mmsmlp.deploy.tracing import trace
from mmsmlp.deploy.writing import write

from .passes import Case, NetworkPass
from .subjects import Subject

# Of noise: how well int8 fits does not change its speed.
CALIBRATION_IMAGES = 4


class ExportedPass(NetworkPass):
    """Passes through an exported backbone, on noise.

    Ours is one file for all cases. A peer is exported for the size of each case, because most
    of them have no graph for open sizes.

    Args:
        subject: Which one.
        device: ``'cpu'``.
    """

    def __init__(self, subject: Subject, device: str) -> None:
        super().__init__(subject, device)
        self.runtime, _, precision = subject.runtime.partition("_")
        self.precision = precision or "fp32"
        self.exported: Exported | None = None

    def prepare(self, case: Case) -> None:
        super().prepare(case)
        if self.exported is None or not self.subject.is_ours:
            with TemporaryDirectory() as folder:
                self.exported = self._export(Path(folder))

    def run(self, image: Tensor) -> None:
        self.exported.tensors(image)

    @torch.no_grad()
    def _export(self, folder: Path) -> Exported:
        if self.subject.is_ours:
            _, part = parts_of(self.network)
            program = trace(part)
        else:
            part = Part(fuse_conv_bn(self.network))
            with quiet():
                program = torch.export.export(part, (self.image,), strict=False)
        _, nest = flatten(part.results(self.image))
        names = list(part.names)
        metadata = dict(precision=self.precision, names=names, nest=nest)
        path = folder / f"network.{'onnx' if self.runtime == 'onnxruntime' else 'xml'}"
        write(program, path, metadata, output_names(names, nest))
        if self.precision == "int8":
            shape = self.image.shape
            quantize(path, [torch.randn(shape) for _ in range(CALIBRATION_IMAGES)])
        return Exported(path)
