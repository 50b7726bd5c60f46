"""The list of mutants fits the package, and the tool tells who is caught."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("tomllib", reason="Python 3.10 has none")

import mutants

ROOT = Path(__file__).parents[3]


def test_every_mutant_changes_a_text_that_is_there_once() -> None:
    listed = list(mutants.read_mutants())
    assert not [problem for mutant in listed if (problem := mutant.problem())]
    assert len(listed) >= 60
    assert sum(bool(mutant.survives) for mutant in listed) <= len(listed) / 20
    tests = {test.partition("::") for mutant in listed for test in mutant.tests}
    for path, _, name in tests:
        assert f"def {name}(" in (ROOT / "tests" / path).read_text() or not name, (path, name)


PACKAGE = "def double(x):\n    return 2 * x\n\n\ndef name():\n    return 'x'\n"
TESTS = "import toy\n\n\ndef test_double():\n    assert toy.double(3) == 6\n"
LIST = """
[[file]]
path = "toy.py"
tests = ["test_it.py"]

[[file.mutant]]
why = "three times as much"
before = "2 * x"
after = "3 * x"

[[file.mutant]]
why = "another name"
before = "'x'"
after = "'y'"

[[file.mutant]]
why = "yet another name"
before = "'x'"
after = "'z'"
survives = "nobody calls it"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "toy.py").write_text(PACKAGE)
    (tmp_path / "tests" / "test_it.py").write_text(TESTS)
    (tmp_path / "list.toml").write_text(LIST)
    for name, value in dict(
        ROOT=tmp_path, LISTS=tmp_path, PARTS=("toy.py", "tests"), LIBRARIES=()
    ).items():
        monkeypatch.setattr(mutants, name, value)
    monkeypatch.setattr(sys, "argv", ["mutants.py"])
    return tmp_path


def test_survivors_are_named_and_the_package_stays_as_it_is(
    project: Path, capfd: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as end:
        mutants.main()
    assert end.value.code == 1
    assert capfd.readouterr().out.splitlines() == [
        "caught    toy.py: three times as much",
        "SURVIVED  toy.py: another name",
        "listed    toy.py: yet another name: nobody calls it",
        "1 of 3 mutants caught, 1 survive for a reason given",
    ]
    assert (project / "toy.py").read_text() == PACKAGE


def test_a_text_that_is_gone_is_named(project: Path) -> None:
    (project / "toy.py").write_text(PACKAGE.replace("2 * x", "x + x"))
    with pytest.raises(SystemExit, match=r"toy\.py: three times.*is there 0 times.*'2 \* x'"):
        mutants.main()


def test_tests_that_fail_anyway_tell_nothing(project: Path) -> None:
    (project / "toy.py").write_text(PACKAGE.replace("2 * x", "2 * x + 1 * 0 + 1"))
    with pytest.raises(SystemExit, match="the tests fail without a mutant"):
        mutants.main()
