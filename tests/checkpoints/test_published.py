"""Weights by name, from a server on the loopback address."""

import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmsmlp.checkpoints import (
    CYCLEMLP,
    download,
    guard_loading,
    named_weights,
    read_checkpoint,
)
from mmsmlp.errors import CheckpointError
from mmsmlp.model_zoo import BACKBONES
from mmsmlp.models.backbones import CycleMLP
from mmsmlp.weights import WEIGHTS, weights_for

ARCH = dict(embed_dims=(8, 16, 24, 32), depths=(1, 2, 1, 1), mlp_ratios=(4, 4, 4, 4))
NAME = "cyclemlp_b2_in1k"


class Server(http.server.ThreadingHTTPServer):
    """Answers with ``body``; breaks off after ``cut`` bytes as often as ``breaks`` says."""

    body: bytes = b""
    status: int = 200
    cut: int | None = None
    breaks: int = 100
    requests: int = 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        server.requests += 1
        self.send_response(server.status)
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body[: server.cut if server.requests <= server.breaks else None])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cyclemlp_weights: dict
) -> Iterator[Server]:
    """Serves a small CycleMLP of the authors' layout in the place of B2."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.delenv("MMSMLP_WEIGHTS", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    torch.save({"model": cyclemlp_weights, "args": {"lr": 0.1}}, tmp_path / "theirs.pth")
    with Server(("127.0.0.1", 0), Handler) as server:
        server.body = (tmp_path / "theirs.pth").read_bytes()
        url = f"http://127.0.0.1:{server.server_port}/v0.1/CycleMLP_B2.pth"
        monkeypatch.setitem(WEIGHTS, NAME, replace(WEIGHTS[NAME], url=url, arch=ARCH))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    return tmp_path / "hub" / "hub" / "checkpoints" / "CycleMLP_B2.pth"


def files(path: Path) -> set[str]:
    """What is beside a file, itself included, but for the lock."""
    return {other.name for other in path.parent.glob("*") if other.suffix != ".lock"}


def test_a_file_is_downloaded_once_and_kept_with_its_checksum(
    server: Server, cached: Path, tmp_path: Path
) -> None:
    assert download(NAME) == download(f"mmsmlp://{NAME}") == cached
    assert server.requests == 1
    assert cached.read_bytes() == server.body
    assert files(cached) == {"CycleMLP_B2.pth", "CycleMLP_B2.pth.sha256"}
    assert download(NAME, tmp_path / "out") == tmp_path / "out" / "CycleMLP_B2.pth"
    assert server.requests == 2


def test_a_network_starts_from_weights_by_name(
    server: Server, cyclemlp_weights: dict, log: list
) -> None:
    init_cfg = dict(type="Pretrained", checkpoint=f"mmsmlp://{NAME}", prefix="backbone.")
    network = CycleMLP(ARCH, init_cfg=init_cfg)
    network.init_weights()
    expected, _ = CYCLEMLP.convert(cyclemlp_weights)
    for name, value in network.state_dict().items():
        if not name.startswith(("norm0", "norm1", "norm2")):
            assert torch.equal(value, expected[f"backbone.{name}"]), name
    (line,) = [text for _, text in log if "tensors loaded" in text]
    assert "0 unexpected" in line and "norm0, norm1, norm2 start afresh" in line


@pytest.mark.parametrize("guarded", [False, True])
def test_mmengine_loads_them_by_name(
    server: Server, cyclemlp_weights: dict, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``load_from`` does."""
    monkeypatch.setattr(CheckpointLoader, "_schemes", dict(CheckpointLoader._schemes))
    if guarded:
        guard_loading()
    checkpoint = CheckpointLoader.load_checkpoint(f"mmsmlp://{NAME}", map_location="cpu")
    expected, _ = CYCLEMLP.convert(cyclemlp_weights)
    assert checkpoint["state_dict"].keys() == expected.keys()
    assert read_checkpoint(f"mmsmlp://{NAME}")["meta"]["licence"] == "MIT"


def test_a_guarded_load_from_takes_the_authors_file(
    tmp_path: Path, cyclemlp_weights: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CheckpointLoader, "_schemes", dict(CheckpointLoader._schemes))
    guard_loading()
    torch.save({"model": cyclemlp_weights}, tmp_path / "theirs.pth")
    checkpoint = CheckpointLoader.load_checkpoint(str(tmp_path / "theirs.pth"), map_location="cpu")
    assert checkpoint["state_dict"].keys() == CYCLEMLP.convert(cyclemlp_weights)[0].keys()


@pytest.mark.parametrize("breaks", [1, 100])
def test_an_interrupted_download_starts_again_and_leaves_no_part(
    server: Server, cached: Path, breaks: int
) -> None:
    server.cut, server.breaks = len(server.body) // 2, breaks
    if breaks == 1:
        download(NAME)
        assert cached.read_bytes() == server.body
        return
    with pytest.raises(CheckpointError, match=r"is not a checkpoint, or breaks off") as error:
        download(NAME)
    assert server.requests == 3
    assert_says_where(error.value, cached)
    server.cut = None
    download(NAME)
    assert cached.read_bytes() == server.body


def assert_says_where(error: CheckpointError, cached: Path) -> None:
    """The address and the place, in one line; and nothing is left at the place."""
    text = str(error)
    assert "\n" not in text
    assert WEIGHTS[NAME].url in text and text.endswith(str(cached))
    assert files(cached) <= set()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (dict(status=404), "cannot download .*404"),
        (dict(body=b"<html>log in first</html>"), "is not a checkpoint, or breaks off"),
        (dict(body=b""), "is not a checkpoint, or breaks off"),
    ],
    ids=["missing", "page", "empty"],
)
def test_a_download_that_is_no_checkpoint_is_an_error_and_not_kept(
    server: Server, cached: Path, answer: dict, message: str
) -> None:
    for name, value in answer.items():
        setattr(server, name, value)
    with pytest.raises(CheckpointError, match=message) as error:
        download(NAME)
    assert_says_where(error.value, cached)


def saved(path: Path, content: object) -> bytes:
    torch.save(content, path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("another", r"\.part' holds no weights of ShoufaChen/CycleMLP"),
        ("depth", r"holds weights of the architecture .*'depths': \(1, 1, 1, 1\)"),
        ("code", r"holds more than tensors \(threading\.Event\): refused"),
    ],
)
def test_weights_of_another_network_are_an_error_and_not_kept(
    server: Server,
    cached: Path,
    content: str,
    message: str,
    cyclemlp_weights: dict,
    spach_weights: dict,
    tmp_path: Path,
) -> None:
    contents = dict(
        another=dict(model=spach_weights),
        depth=dict(model={k: v for k, v in cyclemlp_weights.items() if "network.2.1." not in k}),
        code=dict(model=cyclemlp_weights, hook=threading.Event),
    )
    server.body = saved(tmp_path / "x.pth", contents[content])
    with pytest.raises(CheckpointError, match=message) as error:
        download(NAME)
    assert_says_where(error.value, cached)


def test_offline_the_error_names_the_fix(
    server: Server, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/CycleMLP_B2.pth"
        monkeypatch.setitem(WEIGHTS, NAME, replace(WEIGHTS[NAME], url=url))
        with pytest.raises(CheckpointError, match=r"cannot download .*refused") as error:
            download(NAME)
    assert_says_where(error.value, cached)


def test_a_file_put_there_by_hand_is_taken(server: Server, cached: Path) -> None:
    cached.parent.mkdir(parents=True)
    cached.write_bytes(server.body)
    assert download(NAME) == cached
    assert server.requests == 0
    assert (cached.parent / "CycleMLP_B2.pth.sha256").is_file()


def test_half_a_file_put_there_by_hand_is_refused(server: Server, cached: Path) -> None:
    cached.parent.mkdir(parents=True)
    cached.write_bytes(server.body[:-100])
    with pytest.raises(CheckpointError, match=r"CycleMLP_B2\.pth' is not a checkpoint, or is cut"):
        download(NAME)
    assert not (cached.parent / "CycleMLP_B2.pth.sha256").is_file()


def test_a_file_that_changed_is_refused(
    server: Server, cached: Path, cyclemlp_weights: dict
) -> None:
    download(NAME)
    cyclemlp_weights["head.bias"] = cyclemlp_weights["head.bias"] + 1
    torch.save({"model": cyclemlp_weights}, cached)
    with pytest.raises(CheckpointError, match="has changed since it was first read: its SHA-256"):
        download(NAME)


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_of_ones_own_comes_first(
    server: Server, cached: Path, tmp_path: Path, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own" / "CycleMLP_B2.pth"
    own.parent.mkdir()
    if there:
        own.write_bytes(server.body)
    monkeypatch.setenv("MMSMLP_WEIGHTS", str(own.parent))
    assert download(NAME) == (own if there else cached)
    assert server.requests == (0 if there else 1)


def test_unknown_names_are_answered_with_the_known() -> None:
    with pytest.raises(CheckpointError, match=r"no weights 'cyclemlp_b6_in1k' \(nearest: cyclemlp"):
        named_weights("mmsmlp://cyclemlp_b6_in1k")


def test_every_entry_names_a_backbone_and_a_file_of_its_authors() -> None:
    assert len({weights.file for weights in WEIGHTS.values()}) == len(WEIGHTS) == 7
    for name, weights in WEIGHTS.items():
        assert weights.name == name and weights_for(weights.backbone) is weights
        assert BACKBONES[weights.backbone]["arch"] == weights.arch
        assert weights.url.startswith(f"https://github.com/{weights.source}/releases/download/")
        assert weights.file.endswith(".pth")


def test_each_of_several_that_ask_at_once_gets_the_file(
    server: Server, cached: Path, in_two_processes: Callable
) -> None:
    assert in_two_processes(lambda rank: str(download(NAME))) == [str(cached)] * 2
    assert server.requests == 1
