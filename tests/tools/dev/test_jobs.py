"""Jobs run once, in order, and say where they failed."""

import sys
from pathlib import Path

import pytest
from experiments import jobs


def append(path: Path, word: str) -> tuple[str, ...]:
    """A command that adds a line to a file."""
    return ("-c", f"open({str(path)!r}, 'a').write({word + chr(10)!r})")


def test_jobs_wait_for_their_dependencies(tmp_path: Path) -> None:
    log = tmp_path / "order"
    todo = [
        jobs.Job("last", append(log, "last"), needs=("a/first", "second")),
        jobs.Job("second", append(log, "second"), needs=("a/first",)),
        jobs.Job("a/first", append(log, "first")),
    ]
    jobs.run_jobs(todo, tmp_path, workers=3)
    assert log.read_text().split() == ["first", "second", "last"]


def test_the_first_ready_job_in_order_runs(tmp_path: Path) -> None:
    log = tmp_path / "order"
    todo = [
        jobs.Job("first", append(log, "first")),
        jobs.Job("second", append(log, "second"), needs=("first",)),
        jobs.Job("third", append(log, "third")),
    ]
    jobs.run_jobs(todo, tmp_path, workers=1)
    assert log.read_text().split() == ["first", "second", "third"]


def test_finished_jobs_are_not_repeated(tmp_path: Path) -> None:
    log = tmp_path / "order"
    job = jobs.Job("job", append(log, "one"))
    assert not jobs.is_done(job, tmp_path)
    jobs.run_jobs([job], tmp_path, workers=1)
    jobs.run_jobs([job], tmp_path, workers=1)
    assert log.read_text().split() == ["one"]
    assert jobs.is_done(job, tmp_path)
    changed = jobs.Job("job", append(log, "two"))
    assert not jobs.is_done(changed, tmp_path)
    jobs.run_jobs([changed], tmp_path, workers=1)
    assert log.read_text().split() == ["one", "two"]


def test_a_failure_names_its_log_and_is_tried_again(tmp_path: Path) -> None:
    log = tmp_path / "order"
    fails = jobs.Job("fails", ("-c", "print('the reason'); raise SystemExit(3)"))
    after = jobs.Job("after", append(log, "after"), needs=("fails",))
    for _ in range(2):
        with pytest.raises(jobs.JobFailed, match=r"fails ended with exit code 3; see .*log\.txt"):
            jobs.run_jobs([fails, after], tmp_path, workers=2)
    assert (tmp_path / "fails/log.txt").read_text().count("the reason") == 2
    assert not log.exists()


def test_commands_run_with_one_thread_and_this_interpreter(tmp_path: Path) -> None:
    command = ("-c", "import os, sys; print(os.environ['OMP_NUM_THREADS'], sys.executable)")
    jobs.run_jobs([jobs.Job("job", command)], tmp_path, workers=1)
    assert (tmp_path / "job/log.txt").read_text().split() == ["1", sys.executable]
