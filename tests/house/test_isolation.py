"""The tests themselves: they reach no network and see a file that is left or changed in the checkout."""

import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener, urlopen

import pytest
from isolation import NetworkUsed, changed


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def test_another_machine_is_an_error():
    direct = build_opener(ProxyHandler({}))
    for url in ("http://example.org/", "http://93.184.216.34/"):
        with pytest.raises(NetworkUsed, match="tests use no network"):
            direct.open(url)
    with pytest.raises(NetworkUsed), socket.socket() as client:
        client.connect(("93.184.216.34", 80))


def test_a_process_finds_no_way_out():
    code = "from urllib.request import urlopen; urlopen('https://example.org/')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert URLError.__name__ in done.stderr and "refused" in done.stderr


def test_this_machine_answers():
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.handle_request, daemon=True).start()
        with urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=60) as response:
            assert response.status == 200


def test_a_file_that_is_left_is_seen(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("data/*/\n__pycache__/\n")
    for name in ("data/cache/frames.npy", "data/camvid/a.png", "data/camvid.lock", "tests/__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert changed(tmp_path) == {"?? .gitignore", "!! data/camvid/a.png", "?? data/camvid.lock"}


def test_a_tracked_file_that_is_changed_or_deleted_is_seen(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for name in "abc":
        (tmp_path / name).write_text("before")
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    before = changed(tmp_path)
    (tmp_path / "a").write_text("after it")
    (tmp_path / "b").unlink()
    assert changed(tmp_path) - before == {"AM a", "AD b"}


def test_a_checkout_that_git_cannot_read_is_no_unchanged_one(tmp_path):
    assert changed(tmp_path) == set()  # a copy without git
    (tmp_path / ".git").mkdir()
    with pytest.raises(subprocess.CalledProcessError):
        changed(tmp_path)
