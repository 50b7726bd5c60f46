"""Pipeline and classes of data sets, wrapped or not."""

from typing import Any

import pytest
from mmengine.config import Config

from mmsmlp.engine.runner import find_dataset_meta, find_test_pipeline
from mmsmlp.errors import UsageError

STEPS = [dict(type="LoadImageFromFile"), dict(type="Resize", scale=96)]
PART = dict(type="BaseDataset", metainfo=dict(classes=("a", "b")), pipeline=STEPS)
WRAPPERS = {
    "none": PART,
    "concat": dict(type="ConcatDataset", datasets=[PART, PART]),
    "repeat": dict(type="RepeatDataset", times=2, dataset=PART),
    "balanced": dict(type="ClassBalancedDataset", oversample_thr=0.1, dataset=PART),
    "nested": dict(
        type="RepeatDataset", times=2, dataset=dict(type="ConcatDataset", datasets=[PART])
    ),
    "list": [PART, PART],
}


def config(dataset: Any) -> Config:
    return Config(dict(test_dataloader=dict(dataset=dataset)))


@pytest.mark.parametrize("name", WRAPPERS)
def test_pipeline_and_classes_are_found_in_a_wrapper(name: str) -> None:
    cfg = config(WRAPPERS[name])
    assert find_test_pipeline(cfg) == STEPS
    assert find_dataset_meta(cfg) == dict(classes=("a", "b"))


def test_steps_of_a_wrapper_follow_on_those_of_the_data_set() -> None:
    flip = dict(type="RandomFlip", prob=0.0)
    mix = dict(type="MultiImageMixDataset", dataset=PART, pipeline=[flip])
    assert find_test_pipeline(config(mix)) == [*STEPS, flip]


@pytest.mark.parametrize("dataset", [None, dict(type="BaseDataset"), dict(PART, pipeline=[])])
def test_no_pipeline_is_an_error(dataset: Any) -> None:
    with pytest.raises(UsageError, match=r"no test pipeline: test_dataloader\.dataset\.pipeline"):
        find_test_pipeline(config(dataset))
    with pytest.raises(UsageError, match="no test pipeline"):
        find_test_pipeline(Config(dict()))


def test_classes_of_a_type_are_found() -> None:
    pytest.importorskip("mmdet")
    from mmdet.datasets import CocoDataset

    cfg = config(dict(type="ConcatDataset", datasets=[dict(type=CocoDataset)]))
    assert find_dataset_meta(cfg)["classes"][0] == "person"
