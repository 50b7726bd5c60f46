"""Pictures of networks, trainings and detections, as PNG or SVG."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from benchmarks.charts import draw_charts
from benchmarks.results import ResultsError, read_runs
from benchmarks.subjects import SubjectError, check_names, is_config, network_config, title_of
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from mmsmlp.checkpoints import guard_loading
from mmsmlp.launch import (
    UsageError,
    add_trust_argument,
    check_checkpoint,
    check_data,
    read_config,
    run,
)
from mmsmlp.layers import AXIAL_MODES
from mmsmlp.pictures import (
    FORMATS,
    PictureError,
    axial_maps,
    build_backbone,
    draw_axial_maps,
    draw_curves,
    draw_errors,
    draw_features,
    draw_receptive_fields,
    ground_truth,
    input_of,
    match_detections,
    precision_recall,
    read_curves,
    read_detections,
    read_image,
    receptive_fields,
    save,
    shown_metrics,
)
