"""English that is read once: no archaic or translated turns in documents, comments and messages."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A pattern, and the words to use.
PATTERNS = {
    r"mend(s|ed|ing)?": "fix",
    r"by heart": "overfit",
    r"(comes?|came|brings?|brought) along": "is included",
    r"told": "who passes, sets or shows it",
    r"(go|goes|going|went|gone) on": "continue",
    r"lest": "so that … not",
    r"(is|are|was|were) to be": "must be, will be, should be",
    r"beyond (its|their) reach": "not covered",
    r"(save|but) for": "except",
    r"(all|nothing|none) but": "all except, only",
    r"holds? still": "frozen",
    r"at hand": "available, current",
    r"of (its|their|our|your|one's) own": "its own …",
    r"of (ours|theirs|yours|mine)": "our …",
    r"in the midst": "during",
    r"heed(s|ed|less)?": "respect",
    r"anew": "again",
    r"whole numbers?": "integer",
    r"what (becomes|became) of": "who does what",
    r"(is|are) not there": "missing",
}
WORDS = {re.compile(rf"\b{pattern}\b", re.IGNORECASE): use for pattern, use in PATTERNS.items()}
# A clause with "what" in place of a noun; questions may begin with it.
CLAUSE = re.compile(r"(?:^|: )(?:# |#+ )?What\b[^?]*$")
WORDS[CLAUSE] = "a noun: the input, the result, the effect"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CURRENT = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]  # it describes the past
CODE = sorted(path for folder in ("mmsmlp", "tools") for path in (ROOT / folder).rglob("*.py"))


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers and texts of a document without code and tables."""
    code = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            code = not code
        elif not code and not line.startswith("|"):
            yield number, re.sub(r"`[^`]*`", "", line)


def strings_and_comments(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers and texts of docstrings, messages and comments of a module."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from enumerate(node.value.splitlines(), node.lineno)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def found(path: Path) -> list[str]:
    texts = prose(path) if path.suffix == ".md" else strings_and_comments(path)
    return [
        f"{path.relative_to(ROOT)}:{number}: {match[0]!r} (better: {use}) in {text.strip()!r}"
        for number, text in texts
        for pattern, use in WORDS.items()
        for match in [pattern.search(text)]
        if match
    ]


@pytest.mark.parametrize("path", CURRENT, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_have_no_words_to_avoid(path: Path) -> None:
    assert not found(path), "\n".join(found(path))


@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in CODE}), ids=lambda path: str(path.relative_to(ROOT))
)
def test_code_has_no_words_to_avoid(folder: Path) -> None:
    lines = [line for path in CODE if path.parent == folder for line in found(path)]
    assert not lines, "\n".join(lines)
