"""Whose fault it is that a sample cannot be loaded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile, Resize
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from PIL import Image

from mmsmlp.engine.hooks.data_error import load_images, name_broken_images
from mmsmlp.errors import RunError


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A good image, one that is cut short, and one that is missing."""
    good, torn = tmp_path / "good.png", tmp_path / "torn.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(good)
    torn.write_bytes(good.read_bytes()[:30])
    return [str(good), str(torn), str(tmp_path / "gone.png")]


def dataset(files: list[str], *steps: Any) -> BaseDataset:
    class Images(BaseDataset):
        def load_data_list(self) -> list[dict]:
            return [dict(img_path=path) for path in files]

    return Images(pipeline=[LoadImageFromFile(), *steps])


WRAPPERS = {
    "bare": lambda data: data,
    "concatenated": lambda data: ConcatDataset([data, data]),
    "repeated": lambda data: RepeatDataset(data, 2),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_broken_file_is_named_through_any_wrapper(wrap: Any, files: list[str]) -> None:
    data = wrap(dataset(files))
    for index in (1, 2):
        with pytest.raises(RunError) as error:
            load_images(data, [0, index])
        assert str(error.value).startswith(f"cannot load {files[index]!r}: ")
        assert str(error.value).endswith("; fix the file or leave it out of the data set")


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_an_error_of_the_pipeline_is_not_blamed_on_the_image(wrap: Any, files: list[str]) -> None:
    step = Resize(scale=(4, 4))
    step.scale = step.scale_factor = None
    with pytest.raises(RunError) as error:
        load_images(wrap(dataset(files, step)), [0])
    assert str(error.value).startswith(f"Resize of the pipeline fails for {files[0]!r}: TypeError")
    assert "leave it out" not in str(error.value)


def test_a_missing_library_is_not_blamed_on_the_image(files: list[str]) -> None:
    class LoadOther(LoadImageFromFile):
        def transform(self, results: dict) -> dict:
            raise ImportError("`tifffile` is not installed")

    with pytest.raises(RunError) as error:
        load_images(dataset(files, LoadOther()), [0])
    assert str(error.value) == (
        f"cannot load {files[0]!r}: ImportError: `tifffile` is not installed"
    )


def test_naming_leaves_another_way_to_load_a_batch_alone(files: list[str]) -> None:
    data = dataset(files)
    data.__getitems__ = before = lambda indices: []
    name_broken_images(data)
    assert data.__getitems__ is before
