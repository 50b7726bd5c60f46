"""A page in the browser to try trained models on images."""

from .choices import Choice, find_choices
from .host import Answer, Host, Wish
from .images import example_images
from .serving import own_folder, serve

__all__ = [
    "Answer",
    "Choice",
    "Host",
    "Wish",
    "example_images",
    "find_choices",
    "own_folder",
    "serve",
]
