"""Repeat an experiment of the documentation; after an interruption, it continues."""

import argparse
from pathlib import Path

from documents import DOCS
from experiments import padding, transfer
from experiments.jobs import JobFailed, is_done, run_jobs
from experiments.reporting import report
from rich.console import Console

from mmsmlp.engine.runner import run
from mmsmlp.errors import UsageError

EXPERIMENTS = dict(transfer=transfer, padding=padding)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=EXPERIMENTS)
    parser.add_argument("--work-dir", help="where to write (default: work_dirs/<name>)")
    parser.add_argument(
        "--jobs", type=int, default=2, help="how many trainings run side by side (default: 2)"
    )
    parser.add_argument("--list", action="store_true", help="show which trainings are done")
    parser.add_argument(
        "--networks",
        nargs="+",
        metavar="NAME",
        help="of transfer: run these only; the others keep the figures of the documentation",
    )
    args = parser.parse_args()
    if args.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, got {args.jobs}")
    experiment = EXPERIMENTS[args.name]
    root = Path(args.work_dir or f"work_dirs/{args.name}")
    chosen = {}
    if args.networks:
        if experiment is not transfer or not set(args.networks) <= transfer.NETWORKS.keys():
            raise UsageError(
                f"--networks of transfer must be among {', '.join(transfer.NETWORKS)}, other "
                f"experiments have none; got {' '.join(args.networks)} for {args.name}"
            )
        chosen = dict(networks=args.networks)
    jobs = list(experiment.jobs(root, **chosen))
    if args.list:
        # Unlike print, at ease with a reader that has seen enough, such as head.
        console = Console(highlight=False)
        for job in jobs:
            state = "done" if is_done(job, root) else "to do"
            console.print(f"{state:7} {job.name}", soft_wrap=True)
        return
    for path in experiment.DATA:
        if not Path(path).is_dir():
            raise UsageError(f"there is no {path} (looked in {Path.cwd()}); see docs/transfer.md")
    try:
        run_jobs(jobs, root, args.jobs)
    except JobFailed as error:
        raise UsageError(str(error)) from error
    print(report(experiment, root, DOCS, **chosen))


if __name__ == "__main__":
    run(main, interrupted="the same command continues")
