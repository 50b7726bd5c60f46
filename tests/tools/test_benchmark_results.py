"""What is computed from measured seconds, kept in files, and shown in tables and charts."""

import json
import os
import platform
import re
import statistics
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from benchmarks.charts import draw_charts
from benchmarks.measuring import Settings, measure
from benchmarks.passes import Case
from benchmarks.profiling import GROUPS
from benchmarks.results import ResultsError, Store, figures_of, profiles, read_runs, speeds
from benchmarks.subjects import Subject
from benchmarks.workers import Failed, without_folders

from benchmarks import limits, machine, measuring, report

RATES = {
    "linear": {"a": 1e9, "b": 2e9},
    "matmul": {"a": 3e9, "b": 1e9},
    "conv2d": {"a": 2e9, "b": 8e9},
}
OURS, THEIRS = [0.5, 0.25, 1.0, 0.75], [1.0, 1.0, 3.0, 1.5]


def result(title: str, seconds: list[float], **more: Any) -> dict[str, Any]:
    return dict(subject=title, seconds=seconds, multiply_adds=10**9, peak_memory=3 * 2**20, **more)


def entry(mode: str, size: list[int] | None, results: list[dict], batch: int | None = 1) -> dict:
    return dict(mode=mode, precision="fp32", size=size, batch=batch, results=results)


def run_of(*cases: dict, kind: str = "speed", reference: str = "Swin-T") -> dict[str, Any]:
    return dict(
        kind=kind,
        machine=dict(processor="Some CPU", family="6", cores=4, memory_gib=8.0, model="1"),
        software=dict(torch="2.0", mmsmlp="1", revision="abc", libraries=dict(mkl="2024")),
        settings=dict(device="cpu", threads=2, rounds=4, reference=reference),
        limits=dict(fp32=RATES),
        cases=list(cases),
    )


def profile_result(title: str, scale: float) -> dict[str, Any]:
    groups = {group: scale * (i + 1) for i, group in enumerate(GROUPS)}
    return dict(subject=title, multiply_adds=10**9, groups=groups, operations=[])


@pytest.fixture
def runs() -> list[dict[str, Any]]:
    sizes = [[224, 224], [512, 512], [800, 1344]]
    speed = [
        entry(mode, size, [result("sMLPNet-T", OURS), result("Swin-T", THEIRS)])
        for mode in ("inference", "training")
        for size in sizes
    ]
    whole = entry("training", None, [result("m", OURS), result("m before", THEIRS)], None)
    profiled = [
        entry("inference", [800, 1344], [profile_result("sMLPNet-T", 0.1)]),
        entry("training", [512, 512], [profile_result("sMLPNet-T", 0.3)]),
    ]
    return [
        run_of(*speed),
        run_of(whole, reference="m before"),
        run_of(*profiled, kind="profile"),
    ]


def test_figures_match_the_statistics_of_the_rounds() -> None:
    case = entry("inference", [8, 8], [result("ours", OURS), result("Swin-T", THEIRS)])
    figures = figures_of(run_of(case), case)["ours"]
    assert figures.seconds == statistics.median(OURS) == 0.625
    assert figures.quartiles == (0.4375, 0.8125)
    # By round 2, 4, 3 and 2: not the ratio of medians, which is 2.0.
    assert figures.ratio == 2.5
    assert figures.rate == 2e9 / 0.625
    assert figures.share == 2e9 / 0.625 / 8e9
    assert figures.memory == 3 * 2**20
    single = entry("inference", [8, 8], [result("ours", [2.0])])
    alone = figures_of(run_of(single), single)["ours"]
    assert alone.quartiles == (2.0, 2.0)
    assert alone.ratio is None


def test_the_limit_is_the_best_of_the_three() -> None:
    assert limits.best_by_form(RATES) == dict(linear=2e9, matmul=3e9, conv2d=8e9)
    assert limits.limit_of(RATES) == 8e9


def test_the_last_measurement_is_used() -> None:
    first = entry("inference", [8, 8], [result("a", [1.0]), result("b", [1.0])])
    second = entry("inference", [8, 8], [result("a", [2.0]), dict(subject="b", error="no")])
    ((case, figures),) = speeds([run_of(first), run_of(second)], "cpu").items()
    assert case == Case("inference", "fp32", (8, 8), 1)
    assert {title: f.seconds for title, f in figures.items()} == dict(a=2.0, b=1.0)
    assert not speeds([run_of(first)], "cuda")


def test_a_file_grows_and_is_replaced_atomically(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.json"
    Store(path).write(dict(kind="speed"))
    store = Store(path)
    store.write(dict(kind="profile"))
    store.write(dict(kind="profile", cases=[1]))
    assert read_runs(path) == [dict(kind="speed"), dict(kind="profile", cases=[1])]
    before = path.read_text()

    def full_disk(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match="no space"):
        store.write(dict(kind="speed"))
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_a_file_of_another_tool_is_an_error(tmp_path: Path) -> None:
    for text in ("", "[1]", "{}", '{"runs": 1}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(ResultsError, match=r"x\.json is not a file of this tool"):
            Store(tmp_path / "x.json")


class FakeWorker:
    """Takes a second longer each time; can fail, or be interrupted, at a request."""

    log: list[str]

    def __init__(self, subject: Subject | None, fails_at: str = "", stops_at: str = "") -> None:
        self.subject, self.fails_at, self.stops_at = subject, fails_at, stops_at
        self.seconds = 0.0

    def ask(self, request: str, **arguments: Any) -> Any:
        name = self.subject.name if self.subject else "machine"
        self.log.append(f"{name} {request}")
        if request == self.fails_at:
            raise Failed("no")
        if (arguments.get("case") or {}).get("mode") == self.stops_at:
            raise KeyboardInterrupt
        self.seconds += request == "time"
        return dict(rates=RATES, prepare=5, time=self.seconds, memory=7)[request]


@pytest.fixture
def fake_workers(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """Puts fake workers in the place of processes; yields how each is to behave."""
    behaviour: dict[str, dict[str, str]] = {}
    FakeWorker.log = []

    @contextmanager
    def worker_pool(subjects: list, *_: Any):
        yield [FakeWorker(s, **behaviour.get(s.name, {}) if s else {}) for s in subjects]

    monkeypatch.setattr(measuring, "worker_pool", worker_pool)
    return behaviour


SUBJECTS = [Subject("smlpnet_t"), Subject("swin_t")]
SETTINGS = Settings("cpu", 1, 2, "Swin-T")


def test_subjects_take_turns_round_by_round(fake_workers: dict) -> None:
    case = Case("inference", "fp32", (8, 8), 1)
    run = measure("speed", SUBJECTS, [case], SETTINGS, Store(None))
    assert FakeWorker.log == ["machine rates"] + [
        f"{name} {request}"
        for request in ("prepare", "time", "time", "memory")
        for name in ("smlpnet_t", "swin_t")
    ]
    assert run["cases"][0]["results"] == [
        dict(subject=title, seconds=[1.0, 2.0], multiply_adds=5, peak_memory=7)
        for title in ("sMLPNet-T", "Swin-T")
    ]


def test_a_failure_is_noted_and_does_not_stop_the_others(fake_workers: dict) -> None:
    fake_workers["smlpnet_t"] = dict(fails_at="time")
    case = Case("inference", "fp32", (8, 8), 1)
    run = measure("speed", SUBJECTS, [case], SETTINGS, Store(None))
    failed, other = run["cases"][0]["results"]
    assert failed == dict(subject="sMLPNet-T", error="no")
    assert other["seconds"] == [1.0, 2.0]
    assert FakeWorker.log.count("smlpnet_t time") == 1
    assert list(figures_of(run, run["cases"][0])) == ["Swin-T"]


def test_finished_results_survive_an_interruption(fake_workers: dict, tmp_path: Path) -> None:
    fake_workers["swin_t"] = dict(stops_at="training")
    cases = [Case(mode, "fp32", (8, 8), 1) for mode in ("inference", "training")]
    with pytest.raises(KeyboardInterrupt):
        measure("speed", SUBJECTS, cases, SETTINGS, Store(tmp_path / "out.json"))
    (run,) = read_runs(tmp_path / "out.json")
    assert [case["mode"] for case in run["cases"]] == ["inference"]


def test_the_description_of_a_machine_names_no_computer_and_no_folder() -> None:
    found = dict(machine.describe_machine("cpu"), **machine.describe_software())
    assert found["cores"] == os.cpu_count()
    assert found["torch"].startswith("2.")
    assert found["processor"]
    text = json.dumps(found)
    assert not re.search(r'"/|\s/\w', text)
    for private in (platform.node(), str(Path.home()), os.getcwd()):
        assert private not in text


def test_the_revision_without_a_checkout_is_unknown(tmp_path: Path) -> None:
    assert machine.revision(tmp_path / "nowhere") is None


def test_messages_lose_their_folders() -> None:
    text = "No such file: '/home/me/data/x.json' in a/b.py, see https://a.org/b/c and /x/y z"
    expected = "No such file: 'x.json' in a/b.py, see https://a.org/b/c and y z"
    assert without_folders(text) == expected


def test_tables_match_the_measurements(runs: list[dict]) -> None:
    text = "\n".join(report.tables(dict(cpu=runs, cuda=[])))
    assert "| machine | Some CPU |" in text
    assert "| threads, of cores | 2 of 4 |" in text
    assert "| `F.conv2d`, 1x1 | 8 |" in text
    assert "| inference, fp32 | 224x224 | 512x512 | 800x1344 |" in text
    assert "| sMLPNet-T | 625 ms (2.50) | 625 ms (2.50) | 625 ms (2.50) |" in text
    details = "625 ms | 438 to 812 ms | 2.50 | 3 | 40% | 3 MiB |"
    assert f"| sMLPNet-T | {details}" in text
    assert "| sMLPNet-T | 3 MiB | 3 MiB | 3 MiB |" in text
    assert "| m | training | fp32 | 625 ms | 2.50 |" in text
    assert "| m before | training | fp32 | 1.25 s |  |" in text
    assert "| sMLPNet-T | 4% | 7% | 11% | 14% | 18% | 21% | 25% |" in text
    assert text.count("not measured") == 1


def test_all_pictures_are_written_or_those_asked_for(runs: list[dict], tmp_path: Path) -> None:
    written = draw_charts(runs, "cpu", tmp_path)
    for path in written:
        assert 10_000 < path.stat().st_size < 200_000
    only = draw_charts(runs, "cpu", tmp_path, only=["latency_cpu_inference_fp32.png"])
    assert [path.name for path in only] == ["latency_cpu_inference_fp32.png"]


def test_the_time_at_the_limit_is_that_of_the_multiply_adds(runs: list[dict]) -> None:
    found = profiles(runs, "cpu")[Case("inference", "fp32", (800, 1344), 1)]
    assert found["sMLPNet-T"].at_limit == 2e9 / 8e9


def test_durations_have_three_digits() -> None:
    assert report.duration(12.345) == "12.3 s"
    assert report.duration(0.9876) == "988 ms"
    assert report.duration(0.0012345, 0.01) == "1.2 to 10.0 ms"


def test_rates_are_operations_over_the_median(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([9.0] * 6 + [4.0, 2.0, 1.0] * 3)
    monkeypatch.setattr(limits, "seconds", lambda *_: next(times))
    monkeypatch.setitem(limits.PRODUCTS, "cpu", [(2, 3, 4, 5)])
    rates = limits.measure_rates("cpu", "fp32", 3)
    flops = 2 * 6 * 4 * 5
    assert rates == {
        "linear": {"6x4x5": flops / 4},
        "matmul": {"6x4x5": flops / 2},
        "conv2d": {"6x4x5": flops / 1},
    }


def test_titles_tell_variants_apart() -> None:
    namespace = SimpleNamespace(name="configs/mask_rcnn_smlpnet_t.py")
    assert Subject(namespace.name).title == "mask_rcnn_smlpnet_t"
    assert Subject("s2mlpv2_s4", with_cp=True).title == "S²-MLPv2-Small/4 with_cp"
    assert Subject("swin_t", compiled=True, checkout="/x").title == "Swin-T compiled before"
