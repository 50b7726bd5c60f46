"""Metadata is in pyproject.toml; this file puts configs and tools where OpenMMLab looks for them.

That is the folder `.mim` of the package: copies in a wheel, links in a checkout.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# They prepare this repository's environment, or write its documents.
IN_CHECKOUT_ONLY = (
    "__pycache__",
    "experiment*",
    "setup_*",
    "benchmark.py",
    "documents.py",
    "measure_padding.py",
    "recipes.py",
    "swap_matrix.py",
)


class BuildWithConfigs(build_py):
    """Adds configs and tools to the package."""

    def run(self) -> None:
        super().run()
        for name in ("configs", "tools"):
            if self.editable_mode:
                link = Path("mmsmlp/.mim", name)
                link.parent.mkdir(exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(Path("../..", name), target_is_directory=True)
            else:
                target = Path(self.build_lib, "mmsmlp/.mim", name)
                shutil.rmtree(target, ignore_errors=True)
                ignore = shutil.ignore_patterns(*IN_CHECKOUT_ONLY)
                shutil.copytree(name, target, ignore=ignore)


setup(cmdclass={"build_py": BuildWithConfigs})
