"""Curves of trainings, from logs."""

import json
from pathlib import Path

import pytest

from mmsmlp.errors import PictureError
from mmsmlp.visualization import draw_curves, read_curves, save, shown_metrics


def write_log(work_dir: Path, start: str, records: list[dict], end: str = "") -> None:
    folder = work_dir / start / "vis_data"
    folder.mkdir(parents=True)
    lines = [json.dumps(record) + "\n" for record in records]
    (folder / "scalars.json").write_text("".join(lines) + end)


def losses(first: int, last: int, scale: float) -> list[dict]:
    return [dict(loss=scale * i, lr=0.1, iter=i, step=i) for i in range(first, last + 1)]


def test_a_resumed_training_is_one_curve(tmp_path: Path) -> None:
    before = [*losses(1, 4, 1.0), {"coco/bbox_mAP": 0.1, "time": 2.0, "step": 4}, *losses(5, 6, 1)]
    write_log(tmp_path, "20250101_000000", before, end='{"loss": 0.')
    after = [*losses(5, 8, 10.0), {"coco/bbox_mAP": 0.2, "time": 2.0, "step": 8}]
    write_log(tmp_path, "20250101_010000", after)
    curves = read_curves(tmp_path)
    assert curves.loss == {1: 1, 2: 2, 3: 3, 4: 4, 5: 50, 6: 60, 7: 70, 8: 80}
    assert curves.metrics == {"coco/bbox_mAP": {4: 0.1, 8: 0.2}}
    assert shown_metrics([curves]) == ["coco/bbox_mAP"]
    figure = draw_curves({"one": curves, "two": curves}, ["coco/bbox_mAP"])
    drawn = figure.axes[1].lines[0].get_xydata().tolist()
    assert drawn == [[4, 0.1], [8, 0.2]]
    save(figure, tmp_path / "curves.png")


def test_an_epoch_is_put_where_its_last_iteration_is(tmp_path: Path) -> None:
    write_log(tmp_path, "1", [*losses(1, 9, 1.0), {"mIoU": 30.0, "step": 1}])
    assert read_curves(tmp_path).metrics == {"mIoU": {9: 30.0}}


def test_a_folder_without_a_training_is_named(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="is no work directory of a training"):
        read_curves(tmp_path)
    write_log(tmp_path, "1", losses(1, 2, 1.0))
    (tmp_path / "1" / "vis_data" / "scalars.json").write_text("no JSON\n{}\n")
    with pytest.raises(PictureError, match="line 1 is no JSON"):
        read_curves(tmp_path)
    with pytest.raises(PictureError, match="no metric 'AP' was logged; there are none"):
        shown_metrics([], ["AP"])
