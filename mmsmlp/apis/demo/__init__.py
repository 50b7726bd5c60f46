"""A page in the browser to try trained models on images."""

from .images import check_image, example_images
from .models import Model, Prediction
from .service import Answer, Choice, PredictionService, Request, find_choices
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
