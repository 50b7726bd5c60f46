"""The page: its contents, and reactions to a visitor's actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple

import gradio as gr

from mmsmlp.errors import CheckpointError, UsageError

from .fields import LEGEND
from .service import PredictionService, Request

RESOLUTIONS = (64, 96, 128, 192, 224, 256, 320, 384, 448, 512, 640, 800, 1024)
# Uploads and pictures are deleted after so many seconds; how often it is looked for them.
KEPT, LOOKED_FOR = 900, 60
# Visitors whose turn is yet to come.
WAITING = 20
TITLE = "mmsmlp: try a model"
CSS = """
.fields { display: grid; grid-template-columns: repeat(4, 1fr); gap: 12px; }
@media (max-width: 900px) { .fields { grid-template-columns: repeat(2, 1fr); } }
.fields figure { margin: 0; }
.fields figcaption { margin-bottom: 8px; }
.fields img { width: 100%; }
.choice input { font-size: 12px; text-overflow: ellipsis; }
"""
HINT = "Click a point of the image to see which pixels a token there depends on."
# Settings that change nothing.
AS_CONFIGURED, NOTHING = "as in the config", "nothing"


class Side(NamedTuple):
    """A model and its predictions."""

    choice: gr.Dropdown
    picture: gr.Image
    line: gr.Markdown
    table: gr.Dataframe

    @property
    def results(self) -> list[gr.components.Component]:
        return [self.picture, self.line, self.table]


def build_page(service: PredictionService, examples: Sequence[str]) -> gr.Blocks:
    """The page of a service.

    All settings of a visitor travel with each request, so that visitors share nothing.

    Args:
        service: Runs the models.
        examples: Paths of images to begin with.
    """
    # Nothing is reported to anyone; one pass at a time, whoever asks.
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(LOOKED_FOR, KEPT)) as page:
        gr.Markdown(f"# {TITLE}")
        with gr.Row():
            with gr.Column(min_width=280):
                image = gr.Image(
                    label="Image", sources=["upload", "clipboard"], height=300, buttons=[]
                )
                gr.Examples([[path] for path in examples], image, label="Examples")
                threshold = gr.Slider(
                    0, 1, 0.3, step=0.05, label="Score threshold (of a detector's objects)"
                )
                resolution = gr.Dropdown(
                    [AS_CONFIGURED, *map(str, RESOLUTIONS)],
                    value=AS_CONFIGURED,
                    label="Resolution (shorter side in pixels)",
                )
                predict = gr.Button("Predict", variant="primary")
            names = list(service.choices)
            sides = [
                _add_side("Model", names),
                _add_side("Compare with", [NOTHING, *names], visible=False),
            ]
        gr.Markdown(f"## Effective receptive field\n{HINT}")
        fields = gr.HTML()
        settings = [image, resolution, *(side.choice for side in sides)]
        # Gradio would open any file before it is looked at; that it is an upload is checked all the
        # same. Other settings arrive as they were sent.
        alone = dict(
            concurrency_limit=1, concurrency_id="passes", trigger_mode="once", preprocess=False
        )

        def on_predict(
            threshold: float,
            image: dict[str, Any] | None,
            resolution: str,
            model: str,
            other: str,
        ) -> list[Any]:
            return _predictions(service, threshold, image, resolution, model, other)

        def on_select(event: gr.SelectData, *given: Any) -> str:
            return _fields(service, tuple(event.index), *given)

        predict.click(
            _told(on_predict),
            [threshold, *settings],
            [part for side in sides for part in side.results],
            api_name="predict",
            **alone,
        )

        image.select(_told(on_select), settings, fields, api_visibility="private", **alone)
    return page.queue(max_size=WAITING)


def _add_side(label: str, names: Sequence[str], visible: bool = True) -> Side:
    with gr.Column(min_width=280):
        return Side(
            gr.Dropdown(names, value=names[0], label=label, elem_classes="choice"),
            gr.Image(
                show_label=False,  # it would cover the drawing
                interactive=False,
                visible=visible,
                buttons=["download", "fullscreen"],
            ),
            gr.Markdown(),
            gr.Dataframe(interactive=False, visible=False, max_height=280, wrap=True, buttons=[]),
        )


def _requests(image: dict[str, Any] | None, resolution: str, *sides: str) -> list[Request | None]:
    _check("resolution", resolution, [AS_CONFIGURED, *map(str, RESOLUTIONS)])
    side = None if resolution == AS_CONFIGURED else int(resolution)
    requests: list[Request | None] = []
    for choice in sides:
        path = image and image["path"]
        requests.append(None if choice == NOTHING else Request(path, choice, side))
    return requests


def _check(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")


def _predictions(service: PredictionService, threshold: float, *given: Any) -> list[Any]:
    results: list[Any] = []
    for request in _requests(*given):
        if request is None:
            results += [gr.Image(None, visible=False), "", gr.Dataframe(visible=False)]
            continue
        picture, found, about = service.predict(request, threshold)
        table = gr.Dataframe(found.rows, headers=found.headers, visible=bool(found.rows))
        results += [gr.Image(picture, visible=True), f"**{found.line}**  \n{about}", table]
    return results


def _fields(service: PredictionService, point: tuple[int, int], *given: Any) -> str:
    parts = [service.fields(request, point) for request in _requests(*given) if request]
    return "".join([*parts, f"<p>{LEGEND}</p>"])


def _told(function: Callable) -> Callable:
    """Show any error to the visitor."""

    @wraps(function)
    def tell(*args: Any) -> Any:
        try:
            return function(*args)
        except (UsageError, CheckpointError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        except Exception as error:  # the traceback is for the terminal
            name = type(error).__name__
            raise gr.Error(f"{name}; the terminal of the page has the details") from error

    return tell
