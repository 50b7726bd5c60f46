"""Every config that mmdet and mmseg ship: what the docs say became of it."""

import pytest
from swap_sweep import DOCUMENT, FAILED, LIBRARIES, kind_of, outcome, shipped, version_of

ROWS = [line.strip("| \n").split(" | ") for line in DOCUMENT.read_text().splitlines()]
OUTCOMES = {row[0].strip("`"): row[1] for row in ROWS if "::" in row[0]}


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_config_of_the_version_is_there(library: str) -> None:
    pytest.importorskip(library)
    (row,) = (row for row in ROWS if row[0] == library)
    mine = {name: text for name, text in OUTCOMES.items() if name.startswith(f"{library}::")}
    kinds = [kind_of(text) for text in mine.values()]
    assert [int(count) for count in row[2:]] == [
        kinds.count(kind) for kind in ("swapped", "refused", "needs a package")
    ]
    if version_of(library) != row[1]:
        pytest.skip(f"the docs are about {row[1]}")
    assert list(mine) == shipped(library)


def test_none_ends_in_an_error_that_is_no_reason() -> None:
    assert OUTCOMES
    for name, text in OUTCOMES.items():
        assert text and not text.startswith(FAILED) and "Traceback" not in text, name


@pytest.mark.long
@pytest.mark.parametrize("kind", ["swapped", "refused", "needs a package"])
def test_outcomes_are_as_the_docs_say(kind: str) -> None:
    for library in LIBRARIES:
        pytest.importorskip(library)
        (row,) = (row for row in ROWS if row[0] == library)
        if version_of(library) != row[1]:
            pytest.skip(f"the docs are about {row[1]}")
    names = [name for name, text in OUTCOMES.items() if kind_of(text) == kind]
    # Three from all over the list: each takes a second.
    for name in names[:: max(1, len(names) // 3)][:3]:
        assert outcome(name) == OUTCOMES[name]


def test_the_readme_counts_as_the_table_does() -> None:
    swapped = sum(kind_of(text) == "swapped" for text in OUTCOMES.values())
    readme = (DOCUMENT.parents[1] / "README.md").read_text()
    assert f"Of the {len(OUTCOMES)} configs that mmdet and mmseg ship, {swapped} accept" in readme
