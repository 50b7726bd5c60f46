"""Puts the page on an address."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mmsmlp.engine.runner import library
from mmsmlp.errors import UsageError

from .service import PredictionService

MAX_UPLOAD = "20mb"
FONTS = ["system-ui", "sans-serif"]
SESSIONS = 100  # of visitors whose settings are kept, a few kilobytes each


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for all files of the page, gone in the end.

    Raises:
        UsageError: If Gradio is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="mmsmlp-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # which Gradio reads when it is imported
        library("gradio", "demo")
        yield Path(folder)


def serve(
    service: PredictionService, examples: Sequence[str], address: str, port: int | None
) -> None:
    """Serve the page until interrupted.

    Args:
        service: Runs the models.
        examples: Paths of images to begin with.
        address: Of this machine, such as ``'127.0.0.1'``.
        port: Where to listen; the first free one from 7860 on if None.

    Raises:
        UsageError: If that is not possible.
    """
    from gradio.themes import Base

    from .page import CSS, build_page

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    page = build_page(service, examples)
    try:
        _, url, _ = page.launch(
            server_name=address,
            server_port=port,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            max_file_size=MAX_UPLOAD,
            state_session_capacity=SESSIONS,
            run_history=False,
            footer_links=[],
            ssr_mode=False,
            # Gradio's own themes ask Google for their fonts.
            theme=Base(font=FONTS, font_mono=FONTS),
            css=CSS,
        )
    except OSError as error:
        raise UsageError(f"cannot listen on {address}, port {port or 7860}: {error}") from error
    print(f"page: {url}", flush=True)
    page.block_thread()
