"""Renew the cost tables of the documents, and the charts of docs/cost.md.

Multiply-adds are counted again; times come from the files in benchmarks/.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from documents import DOCS, renew_tables

from mmsmlp.engine.runner import markdown_table

sys.path.append(str(Path(__file__).resolve().parents[1]))
import training_cost
from benchmarks.charts import draw_charts
from benchmarks.cost import cost_table
from benchmarks.report import table_of_times, tables
from benchmarks.results import Run, read_runs

# The reference runs, by device.
REFERENCES = {device: DOCS.parent / f"benchmarks/{device}.json" for device in ("cpu", "cuda")}
# Exported networks beside eager ones, and exported ones in several precisions.
EXPORTED = [DOCS.parent / f"benchmarks/{name}.json" for name in ("exported", "exported_precisions")]
# The pictures that docs/cost.md shows.
SHOWN_CHARTS = (
    "latency_cpu_inference_fp32.png",
    "profile_cpu_inference_fp32_800x1344.png",
    "profile_cpu_training_fp32_512x512.png",
)


def read_references() -> dict[str, list[Run]]:
    """The reference runs that there are."""
    return {device: read_runs(path) if path.exists() else [] for device, path in REFERENCES.items()}


def write_tables(runs: Mapping[str, Sequence[Run]], docs: Path = DOCS) -> None:
    """Renew the tables of both documents."""
    exported = [
        markdown_table(table_of_times(read_runs(path), "cpu", "inference", "fp32"))
        for path in EXPORTED
    ]
    renew_tables(docs / "cost.md", cost_table(), *tables(runs), *exported)
    hours = markdown_table(list(training_cost.rows(training_cost.UTILISATIONS)))
    renew_tables(docs / "many_machines.md", hours)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    matplotlib.use("Agg")
    runs = read_references()
    write_tables(runs)
    for device in REFERENCES:
        draw_charts(runs[device], device, DOCS / "images", only=SHOWN_CHARTS)


if __name__ == "__main__":
    main()
