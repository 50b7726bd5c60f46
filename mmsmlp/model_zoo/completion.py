"""Completion of commands in bash and zsh, where argcomplete is installed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable

from mmsmlp.weights import WEIGHTS

from .contents import add_list_arguments, recipes


def complete(tools: Iterable[str]) -> None:
    """Complete ``python -m mmsmlp …`` for a shell that asks for it, and exit; otherwise do nothing.

    Args:
        tools: Choices for the first word.
    """
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:  # of another Python, then; the tool itself must not run
        sys.exit(1)
    files = argcomplete.FilesCompleter()

    def configs_and_files(prefix: str, **_: object) -> list[str]:
        return [*(recipe.name for recipe in recipes()), *files(prefix)]

    parser = argparse.ArgumentParser()
    parsers = parser.add_subparsers()
    for tool in tools:
        arguments = parsers.add_parser(tool)
        if tool == "list":
            add_list_arguments(arguments)
        elif tool == "download":
            arguments.add_argument("name", choices=list(WEIGHTS))
        else:
            arguments.add_argument("arguments", nargs="*").completer = configs_and_files
    argcomplete.autocomplete(parser)
