"""Models as files that runtimes other than torch take."""

from mmsmlp.errors import ExportError

from .checking import largest_difference
from .exporting import export, load_model
from .form import export_form
from .grafting import check_rest, graft, is_export
from .runtimes import Exported
from .writing import PRECISIONS, SUFFIXES

__all__ = [
    "PRECISIONS",
    "SUFFIXES",
    "ExportError",
    "Exported",
    "check_rest",
    "export",
    "export_form",
    "graft",
    "is_export",
    "largest_difference",
    "load_model",
]
