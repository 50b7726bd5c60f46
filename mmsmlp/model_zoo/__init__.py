"""Backbones and configs of the package by name, and where configs are found.

Importing it lets mmengine find configs by ``mmsmlp::…``. No torch is imported here, because shells
ask for the names while someone types.
"""

from .contents import BACKBONES, TASKS, Recipe, chosen, filters, recipes
from .finding import ROOT, SHIPPED, config_path, configs_of
from .nested import dicts_in

__all__ = [
    "BACKBONES",
    "ROOT",
    "SHIPPED",
    "TASKS",
    "Recipe",
    "chosen",
    "config_path",
    "configs_of",
    "dicts_in",
    "filters",
    "recipes",
]
