"""Models as files that runtimes other than torch take."""

from mmsmlp.errors import ExportError

from .checking import largest_difference
from .exporting import export, load_model
from .form import export_form
from .metadata import config_of
from .runtimes import Exported, check_rest, is_export, use_exported
from .writing import PRECISIONS, SUFFIXES

__all__ = [
    "PRECISIONS",
    "SUFFIXES",
    "ExportError",
    "Exported",
    "check_rest",
    "config_of",
    "export",
    "export_form",
    "is_export",
    "largest_difference",
    "load_model",
    "use_exported",
]
