"""What visitors may upload, and what they find."""

import struct
import zlib
from pathlib import Path

import mmcv
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmsmlp.apis.demo.images import as_shown, check_image, example_images, size_of
from mmsmlp.errors import UsageError


def header_of_png(width: int, height: int) -> bytes:
    """The start of a PNG that claims a size."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13)
    return start + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0\0\0\0IDAT"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "no image, or is broken. Allowed: BMP, JPEG"),
        (b"", "no image, or is broken"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no image, or is broken"),
        (header_of_png(40, 30), "no image, or is broken"),
        (header_of_png(9000, 8000), "has 9000x8000 pixels; at most 50 megapixels"),
        (header_of_png(10**5, 10**5), "is too large; at most 50 megapixels"),
        (header_of_png(3000, 20), "3000x20 pixels; one side may be at most 16 times"),
    ],
    ids=["text", "nothing", "SVG", "no pixels", "large", "bomb", "narrow"],
)
def test_wrong_arguments_are_an_error_of_one_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "image.png").write_bytes(content)
    with pytest.raises(UsageError, match=message) as error:
        check_image(str(tmp_path / "image.png"))
    assert "\n" not in str(error.value) and str(tmp_path) not in str(error.value)


def test_a_photograph_that_is_cut_off_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:-10_000])
    with pytest.raises(UsageError, match="broken"):
        check_image(str(path))


def test_a_missing_image_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Choose an image first"):
        check_image(None)
    with pytest.raises(UsageError, match="not kept any longer"):
        check_image(str(tmp_path / "deleted.png"))


@pytest.mark.parametrize(
    ("shape", "short", "most", "size"),
    [
        ((480, 640), 240, None, (320, 240)),
        ((640, 480), 960, None, (960, 1280)),
        ((500, 2000), 1000, 1_000_000, (2000, 500)),
        ((1, 16), 1, None, (16, 1)),
    ],
)
def test_the_shorter_side_is_as_asked_for_if_the_area_allows(
    shape: tuple[int, int], short: int, most: int | None, size: tuple[int, int]
) -> None:
    assert size_of(np.zeros((*shape, 3)), short, most) == size


@pytest.mark.parametrize(
    ("shape", "shown"),
    [((480, 640), (480, 640)), ((60, 80), (480, 640)), ((4000, 2000), (1280, 640))],
)
def test_shown_images_are_neither_small_nor_large(
    shape: tuple[int, int], shown: tuple[int, int]
) -> None:
    assert as_shown(np.zeros((*shape, 3), np.uint8)).shape == (*shown, 3)


def test_examples_are_spread_over_the_test_set(tmp_path: Path) -> None:
    for i in range(10):
        path = tmp_path / "images" / f"class_{i % 2}" / f"{i}.JPG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "images" / "labels.txt").touch()
    dataset = dict(data_root=str(tmp_path), data_prefix=dict(img="images/"))
    cfg = Config(dict(test_dataloader=dict(dataset=dataset)))
    names = [Path(path).name for path in example_images(cfg, tmp_path / "new", 5)]
    assert names == ["0.JPG", "4.JPG", "8.JPG", "3.JPG", "7.JPG"]


def test_without_a_test_set_examples_are_rendered(tmp_path: Path) -> None:
    dataset = dict(data_root="data/nowhere", data_prefix=dict(img="images/"))
    paths = example_images(Config(dict(test_dataloader=dict(dataset=dataset))), tmp_path, 2)
    first, second = map(mmcv.imread, map(check_image, paths))
    assert first.shape != second.shape or (first != second).any()
