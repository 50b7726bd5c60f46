"""Metadata is in pyproject.toml; this file puts what OpenMMLab looks for where it looks.

That is the folder `.mim` of the package: copies in a wheel, links in a checkout.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Adds configs, tools and the index of models to the package."""

    def run(self) -> None:
        super().run()
        for name in ("configs", "tools", "model-index.yml"):
            if self.editable_mode:
                link = Path("mmsmlp/.mim", name)
                link.parent.mkdir(exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(Path("../..", name), target_is_directory=Path(name).is_dir())
            elif Path(name).is_file():
                shutil.copy(name, Path(self.build_lib, "mmsmlp/.mim"))
            else:
                target = Path(self.build_lib, "mmsmlp/.mim", name)
                shutil.rmtree(target, ignore_errors=True)
                # `dev` is for a checkout only: it maintains this repository.
                ignore = shutil.ignore_patterns("__pycache__", "dev")
                shutil.copytree(name, target, ignore=ignore)


setup(cmdclass={"build_py": BuildWithConfigs})
