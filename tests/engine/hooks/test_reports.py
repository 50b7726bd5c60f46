"""Hooks that only report never end a run."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.hooks import Hook

from mmsmlp.engine.hooks import AnnotationReportHook, LossCurveHook, PredictionSheetHook
from mmsmlp.engine.hooks.reports import left_out_annotations, only_report
from mmsmlp.registry import HOOKS


@pytest.fixture
def runner(caplog: pytest.LogCaptureFixture) -> SimpleNamespace:
    """One without anything that a hook asks for."""
    return SimpleNamespace(logger=logging.getLogger("run"))


def test_an_error_becomes_one_warning(runner: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Hook):
        @only_report
        def after_val(self, runner: Any) -> None:
            raise OSError(28, "No space left\non device")

    hook = Failing()
    for _ in range(3):
        hook.after_val(runner)
    line = "Failing failed, the run continues: OSError: [Errno 28] No space left on device"
    assert [record.getMessage() for record in caplog.records] == [line]


def test_no_report_ends_a_run(runner: Any, caplog: pytest.LogCaptureFixture) -> None:
    curve, sheet, report = LossCurveHook(), PredictionSheetHook(), AnnotationReportHook()
    for _ in range(2):
        curve.before_save_checkpoint(runner, {})
        curve.after_train(runner)
        sheet.before_run(runner)
        sheet.after_val_iter(runner, 0, None, [])
        sheet.after_val_epoch(runner)
        report.before_train(runner)
    assert len(caplog.records) == 3


CATEGORIES = [dict(id=1, name="ball"), dict(id=2, name="sky")]
IMAGES = [dict(id=1, width=10, height=10)]
GOOD = dict(id=1, category_id=1, bbox=[0, 0, 5, 5], area=25)


def test_annotations_of_unlabelled_and_panoptic_data_are_read() -> None:
    content = dict(images=IMAGES, categories=CATEGORIES)
    assert left_out_annotations(content, [1]) == {}
    segments = [GOOD, dict(GOOD, id=2, bbox=[0, 0, 0, 5]), dict(GOOD, id=3, category_id=2)]
    content["annotations"] = [dict(image_id=1, file_name="1.png", segments_info=segments)]
    assert left_out_annotations(content, [1]) == {
        "with an empty or inverted box": [2],
        "of category 'sky', which is not in metainfo.classes": [3],
    }


@pytest.mark.parametrize(
    ("former", "now"),
    [("LeftOutHook", "AnnotationReportHook"), ("MatchedWeightsHook", "CheckWeightsHook")],
)
def test_former_names_in_configs_work(former: str, now: str) -> None:
    assert type(HOOKS.build(dict(type=f"mmsmlp.{former}"))).__name__ == now
