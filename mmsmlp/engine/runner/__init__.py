"""Shared by the tools: arguments, configs, checks, and the run itself."""

from mmsmlp.errors import UsageError

from .arguments import add_trust_argument, base_parser
from .checking import check_checkpoint, check_data, check_folder, check_new_config
from .configs import find_config, load_config, read_config, use_tta
from .datasets import find_dataset_meta, find_test_pipeline, inner_datasets
from .extras import library
from .markdown import markdown_row, markdown_table
from .precision import fit_precision
from .resuming import resume_from
from .running import build_runner, report, run

__all__ = [
    "UsageError",
    "add_trust_argument",
    "base_parser",
    "build_runner",
    "check_checkpoint",
    "check_data",
    "check_folder",
    "check_new_config",
    "find_config",
    "find_dataset_meta",
    "find_test_pipeline",
    "fit_precision",
    "inner_datasets",
    "library",
    "load_config",
    "markdown_row",
    "markdown_table",
    "read_config",
    "report",
    "resume_from",
    "run",
    "use_tta",
]
