"""What visitors get, alone and at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from mmsmlp.apis.demo import Answer, Choice, PredictionService, Request, find_choices
from mmsmlp.errors import CheckpointError, UsageError


@pytest.fixture
def service(work_dirs: Path) -> PredictionService:
    return PredictionService(find_choices(work_dirs), "cpu")


def same(one: Answer, other: Answer) -> bool:
    return np.array_equal(one.picture, other.picture) and one.summary == other.summary


def test_an_answer_tells_time_and_size(service: PredictionService, image: Path) -> None:
    answer = service.predict(Request(str(image), "segmentor / iter_1", 64), 0.3)
    assert answer.picture.shape == (480, 640, 3)
    assert answer.summary.headers == ["class", "area (%)"]
    assert sum(row[1] for row in answer.summary.rows) == pytest.approx(100, abs=0.2)
    seconds, _, rest = answer.about.partition(" s a pass, ")
    assert float(seconds) >= 0 and rest == "input 85x64 pixels"


def test_two_visitors_at_once_get_the_same_as_alone(
    service: PredictionService, image: Path
) -> None:
    requests = [
        Request(str(image), "detector / iter_1", 96),
        Request(str(image), "detector / iter_1", 128),
        Request(str(image), "classifier / iter_1"),
    ]
    alone = [service.predict(request, 0.1) for request in requests]
    assert not same(alone[0], alone[1])
    ready = threading.Barrier(2)

    def visit(order: list[int]) -> list[tuple[int, Answer]]:
        ready.wait()
        return [(i, service.predict(requests[i], 0.1)) for i in order]

    with ThreadPoolExecutor(2) as pool:
        visits = pool.map(visit, ([0, 2, 1, 0], [1, 0, 2, 1]))
        for i, answer in (pair for visit in visits for pair in visit):
            assert same(answer, alone[i])


def test_few_models_stay_in_memory(service: PredictionService, image: Path) -> None:
    names = ["detector / iter_1", "segmentor / iter_1", "classifier / iter_1", "detector / iter_1"]
    for name in names:
        service.load(name)
    info = service._model.cache_info()
    assert (info.currsize, info.misses) == (2, 4)


def test_a_point_has_a_field_for_each_stage(service: PredictionService, image: Path) -> None:
    html = service.fields(Request(str(image), "classifier / iter_1", 64), (639, -1))
    assert html.count("<figure>") == 1  # the network gives its last map alone
    html = service.fields(Request(str(image), "detector / iter_2", 64), (10, 20))
    assert html.count("<figure>") == 4 and "detector / iter_2" in html


def test_a_wrong_argument_is_an_error_of_one_line(work_dirs: Path, image: Path) -> None:
    config = str(work_dirs / "detector" / "detector.py")
    choices = dict(
        gone=Choice(config, str(work_dirs / "detector" / "iter_0.pth")),
        other=Choice(config, str(work_dirs / "segmentor" / "iter_1.pth")),
    )
    service = PredictionService(choices, "cpu")
    for name, kind, message in (
        ("gone", UsageError, "does not exist"),
        ("other", CheckpointError, "cannot load"),
        ("nothing", UsageError, "There is no model 'nothing'"),
    ):
        with pytest.raises(kind, match=message):
            service.predict(Request(str(image), name), 0.3)
    with pytest.raises(UsageError, match="Choose an image first"):
        service.predict(Request(None, "gone"), 0.3)


def test_too_little_memory_is_an_error_of_one_line(
    service: PredictionService, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("too much")

    monkeypatch.setattr(service, "_predict", fail)
    with pytest.raises(UsageError, match="choose a lower resolution"):
        service.predict(Request(str(image), "classifier / iter_1"), 0.3)
