"""The configs of the package by name: ``mmsmlp::mask_rcnn_smlpnet_t.py``.

mmengine lets configs inherit from those of OpenMMLab's own libraries by such names. Importing this
module adds ours. Their types belong to their ``default_scope``, so they get no scope ``mmsmlp``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config

# Where a package of OpenMMLab has its configs.
SHIPPED = Path(".mim") / "configs"
_PACKAGE = Path(__file__).parents[1]
# Holds `configs` and `tools`: within the package once installed, beside it in a checkout.
ROOT = next(
    folder for folder in (_PACKAGE / ".mim", _PACKAGE.parent) if (folder / "configs").is_dir()
)


def config_path(name: str) -> Path:
    """Where a config of an installed library is.

    Args:
        name: Such as ``'mmsmlp::mask_rcnn_smlpnet_t.py'`` or ``'mmdet::swin/….py'``.

    Raises:
        FileNotFoundError: If there is no such library or config.
    """
    package, _, file = name.partition("::")
    folder = configs_of(package)
    if folder is None:
        raise FileNotFoundError(f"{package!r} is not installed")
    path = folder / file
    if not path.is_file():
        raise FileNotFoundError(f"{package} has no config {file!r} (looked for {path})")
    return path


def configs_of(package: str) -> Path | None:
    """Folder of the configs of an installed library, or None."""
    if package == "mmsmlp":
        return ROOT / "configs"
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / SHIPPED


_get_cfg_path = Config._get_cfg_path


def _get_cfg_path_with_ours(cfg_path: str, filename: str) -> tuple[str, str | None]:
    if cfg_path.startswith("mmsmlp::"):
        return str(config_path(cfg_path)), None
    return _get_cfg_path(cfg_path, filename)


Config._get_cfg_path = staticmethod(_get_cfg_path_with_ours)
