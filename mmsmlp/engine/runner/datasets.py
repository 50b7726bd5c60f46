"""Pipeline and classes of a config's data sets, through any wrapper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from mmsmlp.errors import UsageError

# Under these names, ConcatDataset, RepeatDataset and the other wrappers hold data sets.
WRAPPED = ("dataset", "datasets")


def inner_datasets(dataset: Any) -> Iterator[dict[str, Any]]:
    """Configs of the data sets that a config wraps, or itself if it wraps none.

    Args:
        dataset: Config of a data set, of a wrapper, or a list of them.

    Yields:
        Their configs. A pipeline of the wrapper itself follows on that of the data set.
    """
    if isinstance(dataset, (list, tuple)):
        for part in dataset:
            yield from inner_datasets(part)
    elif isinstance(dataset, dict):
        parts = [dataset[name] for name in WRAPPED if isinstance(dataset.get(name), (dict, list))]
        if not parts:
            yield dict(dataset)
        for inner in inner_datasets(parts):
            if more := dataset.get("pipeline"):
                inner["pipeline"] = [*(inner.get("pipeline") or []), *more]
            yield inner


def find_test_pipeline(cfg: Config) -> list[dict[str, Any]]:
    """The steps that prepare an image of the test set.

    Raises:
        UsageError: If there are none.
    """
    dataset = (cfg.get("test_dataloader") or {}).get("dataset")
    pipelines = [inner["pipeline"] for inner in inner_datasets(dataset) if inner.get("pipeline")]
    if not pipelines:
        pipelines = [cfg.get("test_pipeline") or []]
    if not pipelines[0]:
        raise UsageError(
            "the config has no test pipeline: test_dataloader.dataset.pipeline must be a list of "
            "steps, of the data set or of each that it wraps"
        )
    if any(list(other) != list(pipelines[0]) for other in pipelines[1:]):
        print_log("the test sets have several pipelines; that of the first is used", "current", 30)
    return [dict(step) for step in pipelines[0]]


def find_dataset_meta(cfg: Config) -> dict[str, Any]:
    """Classes and palette of the test set: of its ``metainfo``, or else of its type."""
    for inner in inner_datasets((cfg.get("test_dataloader") or {}).get("dataset")):
        if meta := inner.get("metainfo"):
            return dict(meta)
        kind = inner.get("type")
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        if meta := getattr(kind, "METAINFO", None):
            return dict(meta)
    return {}
