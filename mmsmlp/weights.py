"""Weights that authors of the networks have published, by name."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlparse

# Prefix of a name from `WEIGHTS`, instead of a path.
SCHEME = "mmsmlp://"


@dataclass(frozen=True)
class Weights:
    """A checkpoint that somebody has published.

    Args:
        name: Of the weights, such as ``'cyclemlp_b2_in1k'``.
        backbone: Its name in the model zoo.
        arch: Its architecture.
        top1: Accuracy on ImageNet-1K in percent, as the authors report it.
        source: Repository of the authors, whose names :mod:`mmsmlp.checkpoints.sources` converts.
        url: Address of the file.
        licence: Under which they are published.
        task: The network's training task.
    """

    name: str
    backbone: str
    arch: str
    top1: str
    source: str
    url: str
    licence: str = "MIT"
    task: str = "classification on ImageNet-1K"

    @property
    def file(self) -> str:
        """Name of the file."""
        return urlparse(self.url).path.rpartition("/")[2]

    @property
    def path(self) -> str:
        """Name to write instead of the path of a checkpoint."""
        return SCHEME + self.name


def _cyclemlp(arch: str, top1: str) -> Weights:
    source = "ShoufaChen/CycleMLP"
    url = f"https://github.com/{source}/releases/download/v0.1/CycleMLP_{arch.upper()}.pth"
    return Weights(f"cyclemlp_{arch}_in1k", f"cyclemlp_{arch}", arch, top1, source, url)


def _smlpnet(arch: str, top1: str) -> Weights:
    source, letter = "microsoft/SPACH", arch[0]
    url = f"https://github.com/{source}/releases/download/v1.0/smlp_{letter}.pth"
    return Weights(f"smlpnet_{letter}_in1k", f"smlpnet_{letter}", arch, top1, source, url)


# Nobody has published any of this package's own.
WEIGHTS = {
    weights.name: weights
    for weights in [
        _smlpnet("small", "83.1"),
        _smlpnet("base", "83.4"),
        _cyclemlp("b1", "78.9"),
        _cyclemlp("b2", "81.6"),
        _cyclemlp("b3", "82.4"),
        _cyclemlp("b4", "83.0"),
        _cyclemlp("b5", "83.2"),
    ]
}


def weights_for(backbone: str) -> Weights | None:
    """The weights of a backbone, by its name in the model zoo; None if nobody has published any."""
    return next((weights for weights in WEIGHTS.values() if weights.backbone == backbone), None)
