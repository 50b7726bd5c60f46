"""A folder for each class, for classification."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
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
    """Images that can be trained on.

    Attributes:
        folder: Where they are.
        classes: Names of the folders of images to train on.
        labels: Indices into them, by paths of images.
        splits: Names of the images of ``'train'``, ``'val'`` and ``'test'``, if folders tell.
        report: What was found.
    """

    folder: Path
    classes: list[str]
    labels: dict[str, int]
    splits: dict[str, set[str]]
    report: Report = field(default_factory=Report)

    def count(self, names: set[str]) -> dict[str, int]:
        """How many images of each class are among some."""
        count = dict.fromkeys(self.classes, 0)
        for name in names & self.labels.keys():
            count[self.classes[self.labels[name]]] += 1
        return count


def splits_of(names: list[str]) -> dict[str, set[str]]:
    """Names by the split that their first folder stands for; nothing unless one is training's."""
    found: dict[str, set[str]] = {}
    for name in names:
        first = Path(name).parts[0].lower() if os.sep in name else ""
        found.setdefault(SPLITS.get(first, ""), set()).add(name)
    return found if "train" in found and len(found) > 1 else {}


def read_class_folders(folder: Path) -> ClassFolders:
    """Read images to their end, and find what mmpretrain would fail at or label wrongly.

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
    parts = {name: Path(name).parts for name in names}
    outside = [name for name in names if len(parts[name]) < depth + 2 or name in splits.get("", ())]
    report.note("left out: images outside of a folder of a class", outside)
    odd = [name for name in names if not is_plain_line(name)]
    report.note("left out: names that no list can hold", odd)
    names = [name for name in names if name not in {*outside, *odd}]
    if not names:
        raise report.error(f"there is no image in folders of {folder}")
    files = read_images(folder, names)
    files.note(report)
    class_of = {name: parts[name][depth] for name in files.paths}
    train = splits["train"] if splits else set(names)
    classes = sorted({class_of[name] for name in class_of if name in train})
    there = {path.name for path in folders if not is_hidden(path.name)}
    report.note("folders without an image to train on", sorted(there - set(classes)))
    if len(classes) < 2:
        raise report.error(f"there is one class to train on ({', '.join(classes) or 'none'})")
    other = [name for name in class_of if class_of[name] not in classes]
    report.note("left out: images of classes that training has not", other)
    labels = {n: classes.index(c) for n, c in class_of.items() if c in classes}
    return ClassFolders(folder, classes, labels, splits, report)
