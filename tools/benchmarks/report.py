"""The tables of docs/cost.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from mmsmlp.engine.runner import markdown_table

from .limits import best_by_form
from .passes import PRECISIONS, Case
from .profiling import GROUPS
from .results import Figures, Run, profiles, runs_of, speeds

FORMS = {"linear": "`F.linear`", "matmul": "`torch.matmul`", "conv2d": "`F.conv2d`, 1x1"}
DETAILED = {"inference": (800, 1344), "training": (512, 512)}
NOT_MEASURED = "not measured"

Rows = list[list[str]]


def duration(*seconds: float) -> str:
    """With three digits; several as a range."""
    largest = max(seconds)
    scale, unit = (1, "s") if largest >= 1 else (1000, "ms")
    digits = 2 if largest * scale < 10 else 1 if largest * scale < 100 else 0
    return " to ".join(f"{value * scale:.{digits}f}" for value in seconds) + f" {unit}"


def mebibytes(memory: int | None) -> str:
    return "" if memory is None else f"{memory / 2**20:.0f} MiB"


def cells_of(figures: Figures) -> list[str]:
    """The figures of a subject, as :data:`HEAD` has them."""
    return [
        duration(figures.seconds),
        duration(*figures.quartiles),
        "" if figures.ratio is None else f"{figures.ratio:.2f}",
        "" if figures.rate is None else f"{figures.rate / 1e9:.0f}",
        "" if figures.share is None else f"{figures.share:.0%}",
        mebibytes(figures.memory),
    ]


HEAD = ["median", "quartiles", "times as fast", "GFLOP/s", "of the limit", "peak memory"]


def table_of_machine(runs: Sequence[Run], device: str) -> Rows:
    """Machine of the newest run of a device."""
    found = list(runs_of(runs, "speed", device))
    if not found:
        return [["machine", NOT_MEASURED]]
    machine, software, settings = (found[-1][key] for key in ("machine", "software", "settings"))
    libraries = software["libraries"]
    rows = [["machine", machine["gpu"]["name"] if device == "cuda" else machine["processor"]]]
    if machine.get("family"):
        rows.append(["family, model", f"{machine['family']}, {machine['model']}"])
    if "cpu_capability" in libraries:
        rows.append(["instructions that torch uses", libraries["cpu_capability"]])
    rows += [
        ["threads, of cores", f"{settings['threads']} of {machine['cores']}"],
        ["memory", f"{machine['memory_gib']} GiB"],
        ["torch", software["torch"]],
        ["MKL, oneDNN", f"{libraries.get('mkl', 'none')}, {libraries.get('onednn', 'none')}"],
        ["mmsmlp", f"{software['mmsmlp']}, {software['revision']}"],
        ["rounds", str(settings["rounds"])],
    ]
    return rows


def table_of_limits(runs: Sequence[Run], device: str) -> Rows:
    """The best rate of each form in each precision, in the newest runs."""
    limits = {}
    for run in runs_of(runs, "speed", device):
        limits.update(run["limits"])
    precisions = [name for name in PRECISIONS if name in limits]
    if not precisions:
        return [["GFLOP/s"], [NOT_MEASURED]]
    best = {name: best_by_form(limits[name]) for name in precisions}
    return [
        ["GFLOP/s", *precisions],
        *(
            [text, *(f"{best[name][form] / 1e9:.0f}" for name in precisions)]
            for form, text in FORMS.items()
        ),
    ]


def table_of_times(runs: Sequence[Run], device: str, mode: str, precision: str) -> Rows:
    """Medians, and how many times as fast as the reference, of networks at all sizes."""

    def cell(figures: Figures) -> str:
        ratio = "" if figures.ratio is None else f" ({figures.ratio:.2f})"
        return duration(figures.seconds) + ratio

    return _by_size(runs, device, mode, precision, cell)


def table_of_memory(runs: Sequence[Run], device: str, mode: str, precision: str) -> Rows:
    """Peak memory of networks at all sizes."""
    return _by_size(runs, device, mode, precision, lambda figures: mebibytes(figures.memory))


def _by_size(
    runs: Sequence[Run], device: str, mode: str, precision: str, cell: Callable[[Figures], str]
) -> Rows:
    found = {
        case: figures
        for case, figures in speeds(runs, device).items()
        if (case.mode, case.precision) == (mode, precision) and case.size
    }
    cases = sorted(found, key=lambda case: (case.size[0] * case.size[1], case.batch))
    if not cases:
        return [[f"{mode}, {precision}"], [NOT_MEASURED]]
    rows = [[f"{mode}, {precision}", *(case.images for case in cases)]]
    for title in dict.fromkeys(title for case in cases for title in found[case]):
        figures = (found[case].get(title) for case in cases)
        rows.append([title, *("" if f is None else cell(f) for f in figures)])
    return rows


def table_of_details(runs: Sequence[Run], device: str, mode: str, precision: str) -> Rows:
    """All figures at one size."""
    case = Case(mode, precision, DETAILED[mode], 1)
    figures = speeds(runs, device).get(case)
    if not figures:
        return [[f"{mode}, {precision}, {case.images}"], [NOT_MEASURED]]
    return [
        [f"{mode}, {precision}, {case.images}", *HEAD],
        *([title, *cells_of(values)] for title, values in figures.items()),
    ]


def table_of_models(runs: Sequence[Run], device: str) -> Rows:
    """Complete models on data of their configs."""
    rows = []
    for case, figures in speeds(runs, device).items():
        if case.size is None:
            for title, f in figures.items():
                fast = "" if title == f.reference or f.ratio is None else f"{f.ratio:.2f}"
                rows.append([title, case.mode, case.precision, duration(f.seconds), fast])
    head = ["model", "pass", "precision", "median", "times as fast as before"]
    return [head, *rows] if rows else [["whole models"], [NOT_MEASURED]]


def table_of_profiles(runs: Sequence[Run], device: str, mode: str, precision: str) -> Rows:
    """Shares of the groups at one size."""
    case = Case(mode, precision, DETAILED[mode], 1)
    found = profiles(runs, device).get(case)
    if not found:
        return [[f"{mode}, {precision}, {case.images}"], [NOT_MEASURED]]
    rows = [[f"{mode}, {precision}, {case.images}", *GROUPS]]
    for title, profile in found.items():
        total = sum(profile.groups.values())
        rows.append([title, *(f"{profile.groups[group] / total:.0%}" for group in GROUPS)])
    return rows


# The tables of docs/cost.md behind the one of multiply-adds, in their order.
TABLES: dict[str, list[tuple[Callable[..., Rows], tuple[str, ...]]]] = {
    "cpu": [
        (table_of_machine, ()),
        (table_of_limits, ()),
        (table_of_times, ("inference", "fp32")),
        (table_of_details, ("inference", "fp32")),
        (table_of_profiles, ("inference", "fp32")),
        (table_of_times, ("training", "fp32")),
        (table_of_memory, ("training", "fp32")),
        (table_of_profiles, ("training", "fp32")),
        (table_of_times, ("inference", "bf16")),
        (table_of_models, ()),
    ],
    "cuda": [
        (table_of_machine, ()),
        (table_of_times, ("inference", "fp32")),
        (table_of_times, ("inference", "bf16")),
        (table_of_times, ("training", "bf16")),
    ],
}


def tables(runs: Mapping[str, Sequence[Run]]) -> Iterator[str]:
    """The measurements in Markdown, by the runs of each device."""
    for device, builders in TABLES.items():
        if device == "cuda" and not runs[device]:
            continue  # docs/gpu_on_paper.md has the counts without a GPU
        for builder, arguments in builders:
            yield markdown_table(builder(runs[device], device, *arguments))
