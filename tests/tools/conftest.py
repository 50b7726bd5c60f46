"""Tools are imported by their names."""

import sys
from pathlib import Path

# Last, for a script's name shall not hide a module's.
sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))
