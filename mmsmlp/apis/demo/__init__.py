"""A page in the browser to try trained models on images."""

from .choices import Choice, find_choices
from .host import Answer, Host, Wish
from .images import example_images, read_image
from .models import Model, Prediction
from .serving import own_folder, serve

__all__ = [
    "Answer",
    "Choice",
    "Host",
    "Model",
    "Prediction",
    "Wish",
    "example_images",
    "find_choices",
    "own_folder",
    "read_image",
    "serve",
]
