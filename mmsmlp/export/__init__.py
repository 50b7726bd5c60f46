"""Models as files that runtimes other than torch take."""

from .form import export_form

__all__ = ["export_form"]
