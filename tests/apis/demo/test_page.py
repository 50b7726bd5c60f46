"""The page itself: a real server, real visitors, and a real browser."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from tests.helpers import sampled

pytest.importorskip("gradio", reason="the extra `demo` is not installed")
gradio_client = pytest.importorskip("gradio_client")
httpx = pytest.importorskip("httpx")

ROOT = Path(__file__).parents[3]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# As root, in a container, and without calling anyone.
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
DETECTOR, OTHER, CLASSIFIER = "detector / iter_1", "detector / iter_2", "classifier / iter_1"
# Notes whom a process wants to talk to, beside itself.
NOTES = """
import os, sys

def note(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        address = args[0] if event == "socket.getaddrinfo" else args[1]
        service = address[0] if isinstance(address, tuple) else address
        if str(service) not in ("127.0.0.1", "localhost", "None"):
            with open(os.environ["NOTES"], "a") as file:
                print(event, address, file=file)

sys.addaudithook(note)
"""
DEFAULTS = ["as in the config", DETECTOR, "nothing"]


class Server(NamedTuple):
    """A running page."""

    url: str
    pid: int
    files: Path  # the folder of temporary files

    def resident(self) -> float:
        """Its memory in megabytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@pytest.fixture(scope="module")
def server(
    work_dirs: Path, image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    files = tmp_path_factory.mktemp("files")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    detector = [work_dirs / "detector" / name for name in ("detector.py", "iter_1.pth")]
    command = [sys.executable, "-m", "mmsmlp", "demo", *detector, "--port", port]
    command += ["--work-dirs", work_dirs, "--examples", image, "--device", "cpu"]
    (files / "sitecustomize.py").write_text(NOTES)
    path = os.pathsep.join([str(files), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": path, "TMPDIR": str(files)}
    environment["NOTES"] = str(files / "notes.txt")
    process = subprocess.Popen(
        list(map(str, command)), env=environment, stdout=subprocess.PIPE, text=True
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("page:"):
            break
    else:
        pytest.fail("".join(lines))
    assert line == f"page: http://127.0.0.1:{port}/\n"
    yield Server(line.split()[1], process.pid, files)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0
    # Nothing was asked of anyone, and nothing of a visitor is left.
    assert [path.name for path in files.iterdir() if path.name != "__pycache__"] == [
        "sitecustomize.py"
    ]


class Visitor:
    """Uses the page by its programming interface, which is what a browser uses as well."""

    def __init__(self, server: Server, folder: Path) -> None:
        options = dict(verbose=False, download_files=str(folder))
        self._client = gradio_client.Client(server.url, **options)

    def predict(self, path: Path, *settings: str, threshold: float = 0.1) -> list[Any]:
        settings = [*settings, *DEFAULTS[len(settings) :]]
        image = gradio_client.handle_file(str(path))
        found = list(self._client.predict(threshold, image, *settings, api_name="/predict"))
        for i in (0, 3):
            value = found[i]["value"] if isinstance(found[i], dict) else found[i]
            found[i] = value and np.asarray(Image.open(value)).tobytes()
        for i in (1, 4):  # the first line, without the seconds
            found[i] = found[i].partition("\n")[0]
        return found


@pytest.mark.parametrize("count", sampled([2, 10], 2))
def test_two_visitors_at_once_see_the_same_as_alone(
    server: Server, image: Path, tmp_path: Path, count: int
) -> None:
    settings = [
        ("64", DETECTOR),
        ("96", CLASSIFIER),
        ("as in the config", DETECTOR, OTHER),
    ]
    alone = [Visitor(server, tmp_path).predict(image, *given) for given in settings]
    assert alone[0] != alone[2]

    def visit(first: int) -> list[tuple[int, list[Any]]]:
        visitor = Visitor(server, tmp_path)
        order = [(first + i) % 3 for i in range(count)]
        return [(i, visitor.predict(image, *settings[i])) for i in order]

    with ThreadPoolExecutor(2) as pool:
        answers = [pair for visit in pool.map(visit, range(2)) for pair in visit]
    assert len(answers) == 2 * count
    for i, answer in answers:
        assert answer == alone[i]


@pytest.mark.long
def test_memory_does_not_grow(server: Server, image: Path, tmp_path: Path) -> None:
    visitor = Visitor(server, tmp_path)
    sizes = ["64", "96", "128", "as in the config"]
    for size in sizes:  # what is allocated once
        visitor.predict(image, size)
        visitor.predict(image, size, CLASSIFIER)
    before = server.resident()
    for i in range(100):
        visitor.predict(image, sizes[i % 4], (DETECTOR, CLASSIFIER)[i // 4 % 2])
    assert server.resident() - before < 50


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("7", DETECTOR), "resolution must be one of as in the config, 64, .*; got '7'"),
        (("64", "stranger"), "There is no model 'stranger'"),
    ],
)
def test_requests_that_no_browser_sends_are_rejected(
    server: Server, image: Path, tmp_path: Path, settings: tuple[str, ...], message: str
) -> None:
    with pytest.raises(gradio_client.exceptions.AppError, match=message):
        Visitor(server, tmp_path).predict(image, *settings)


def test_files_of_the_machine_are_out_of_reach(server: Server, image: Path) -> None:
    stolen = dict(path=str(image), meta=dict(_type="gradio.FileData"))
    call = f"{server.url}gradio_api/call/predict"
    with httpx.Client(timeout=60) as client:
        event = client.post(call, json=dict(data=[0.1, stolen, *DEFAULTS])).json()["event_id"]
        assert client.get(f"{call}/{event}").text.startswith("event: error")
        assert client.get(f"{server.url}gradio_api/file={image}").status_code == 403


def test_an_upload_is_bounded(server: Server) -> None:
    files = dict(files=("large.png", bytes(21 * 2**20)))
    answer = httpx.post(f"{server.url}gradio_api/upload", files=files, timeout=60)
    assert answer.status_code == 413


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium (apt install chromium)")
    with playwright.sync_playwright() as p:
        started = p.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield started
        started.close()


@pytest.fixture(
    params=[
        pytest.param((1400, 1000), id="wide"),
        pytest.param((390, 844), id="narrow", marks=pytest.mark.long),
    ]
)
def page(browser: Any, server: Server, request: pytest.FixtureRequest) -> Iterator[Any]:
    width, height = request.param
    opened = browser.new_page(viewport=dict(width=width, height=height))
    hosts: set[str] = set()
    opened.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    opened.goto(server.url)
    opened.get_by_role("button", name="Predict").wait_for()
    yield opened
    # Whatever a visitor does, nothing is asked of anyone else.
    assert hosts - {""} == {urlsplit(server.url).netloc}
    # Nothing sticks out, so that nothing scrolls sideways.
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    opened.close()


def predict(page: Any) -> None:
    page.get_by_role("button", name="Predict").click()


def choose(page: Any, label: str, option: str, nth: int = 0) -> None:
    page.get_by_label(label).nth(nth).click()
    page.get_by_role("option", name=option, exact=True).click()


def upload(page: Any, path: Path) -> None:
    page.locator("input[type=file]").first.set_input_files(str(path))
    page.get_by_label("Remove image").or_(page.get_by_label("Clear")).first.wait_for()


def test_a_visitor_compares_two_checkpoints_and_clicks_a_point(page: Any) -> None:
    page.locator(".gallery-item").first.click()
    page.locator(".image-frame img").first.wait_for()
    choose(page, "Resolution", "96")
    choose(page, "Compare with", OTHER)
    predict(page)
    passes = page.get_by_text("s a pass, input 128x96 pixels")
    passes.nth(1).wait_for()
    assert passes.count() == 2
    assert page.get_by_text("score above 0.3").count() == 2
    image = page.locator(".image-frame img").first
    box = image.bounding_box()
    image.click(position=dict(x=box["width"] / 2, y=box["height"] / 2))
    figures = page.locator(".fields figure")
    figures.nth(7).wait_for()
    assert figures.count() == 8  # four stages, twice
    titles = page.locator(".fields").locator("xpath=preceding-sibling::h4").all_inner_texts()
    assert set(titles) == {DETECTOR, OTHER}


def test_a_visitor_sees_the_error(page: Any, tmp_path: Path) -> None:
    predict(page)
    page.get_by_text("Choose an image first.").wait_for()
    (tmp_path / "text.png").write_text("hello")
    upload(page, tmp_path / "text.png")
    predict(page)
    page.get_by_text("This file is no image, or is broken.").wait_for()


def test_an_upload_is_predicted_and_not_kept(
    page: Any, server: Server, image: Path, tmp_path: Path
) -> None:
    pixels = Image.open(image).resize((1600, 1200))
    pixels.save(tmp_path / "mine.png")
    upload(page, tmp_path / "mine.png")
    slider = page.get_by_label("number input for Score threshold")
    slider.fill("1")
    slider.press("Tab")
    predict(page)
    page.get_by_text("No object has a score above 1; the highest is").wait_for()
    kept = list(server.files.rglob("mine.png"))
    assert kept
    for path in kept:  # as it is after a while
        path.unlink()
    predict(page)
    page.get_by_text("The image is not kept any longer: upload it again.").wait_for()
