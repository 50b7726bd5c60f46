# PYTHON_ARGCOMPLETE_OK
"""The tools of an installed package: ``python -m mmsmlp train CONFIG …``."""

import runpy
import sys

from mmsmlp.model_zoo import ROOT
from mmsmlp.model_zoo.completion import complete


def main() -> None:
    """Run the tool that the first argument names, with the others as its own."""
    tools = {path.stem: str(path) for path in sorted((ROOT / "tools").glob("*.py"))}
    complete(tools)
    if len(sys.argv) < 2 or sys.argv[1] not in tools:
        sys.exit(f"usage: python -m mmsmlp {{{','.join(tools)}}} …")
    path = tools[sys.argv[1]]
    sys.argv[:2] = [path]
    # As Python does for a script, but last: a tool's name shall not hide a module's.
    sys.path.append(str(ROOT / "tools"))
    runpy.run_path(path, run_name="__main__")


if __name__ == "__main__":
    main()
