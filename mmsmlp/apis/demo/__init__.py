"""A page in the browser to try trained models on images."""

from .choices import Choice, find_choices
from .images import check_image, example_images
from .models import Model, Prediction
from .service import Answer, PredictionService, Request
from .serving import own_folder, serve

__all__ = [
    "Answer",
    "Choice",
    "Model",
    "Prediction",
    "PredictionService",
    "Request",
    "check_image",
    "example_images",
    "find_choices",
    "own_folder",
    "serve",
]
