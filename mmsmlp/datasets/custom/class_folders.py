"""A folder for each class, for classification."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .images import files_of, is_hidden, read_images
from .report import Report, is_plain_line

# The names of folders of splits.
SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}


@dataclass
class ClassFolders:
    """Images that can be trained on: indices into classes by paths, and findings."""

    classes: list[str]
    labels: dict[str, int]
    report: Report

    def count(self, names: set[str]) -> dict[str, int]:
        """How many images of each class are among some."""
        count = Counter(self.labels[name] for name in names & self.labels.keys())
        return {name: count[label] for label, name in enumerate(self.classes)}


def splits_of(names: list[str]) -> dict[str, set[str]]:
    """Names by the split that their first folder stands for; nothing unless one is training's."""
    found: dict[str, set[str]] = {}
    for name in names:
        first = Path(name).parts[0].lower() if os.sep in name else ""
        found.setdefault(SPLITS.get(first, ""), set()).add(name)
    return found if "train" in found and len(found) > 1 else {}


def read_class_folders(folder: Path) -> ClassFolders:
    """Read images completely, and find those that mmpretrain cannot read or would label wrongly.

    Args:
        folder: Of folders of classes, or of ``train``, ``val`` and ``test`` with such folders.

    Raises:
        DataError: If nothing can be trained on.
    """
    report, names = Report(), files_of(folder)
    splits = splits_of(names)
    depth = 1 if splits else 0
    folders = [path for path in sorted(folder.glob("*/*" if splits else "*")) if path.is_dir()]
    hidden = [str(path.relative_to(folder)) for path in folders if is_hidden(path.name)]
    report.note("left out: hidden folders, which are no classes", hidden)
    left_out = {
        "images outside of a folder of a class": lambda name: (
            len(Path(name).parts) < depth + 2 or name in splits.get("", ())
        ),
        "names that no list can hold": lambda name: not is_plain_line(name),
    }
    names = report.keep(names, left_out)
    if not names:
        raise report.error(f"there is no image in folders of {folder}")
    class_of = {n: Path(n).parts[depth] for n in read_images(folder, names, report)}
    train = splits["train"] if splits else set(names)
    classes = sorted({class_of[name] for name in class_of if name in train})
    there = {path.name for path in folders if not is_hidden(path.name)}
    report.note("folders without an image to train on", sorted(there - set(classes)))
    if len(classes) < 2:
        raise report.error(f"there is one class to train on ({', '.join(classes) or 'none'})")
    other = {"images of classes that training has not": lambda n: class_of[n] not in classes}
    labels = {name: classes.index(class_of[name]) for name in report.keep(class_of, other)}
    return ClassFolders(classes, labels, report)
