"""Web servers that answer what they should not: every answer is read, or refused with words."""

from __future__ import annotations

import gzip
import http.server
import io
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from datasets import RAW, X, assert_is_the_data_set, png, read, samples, tar_bytes
from fsspec.asyn import sync
from fsspec.implementations.http import HTTPFileSystem

from inspector.errors import InputError, ParameterError
from inspector.runtime import urls, web
from inspector.runtime.sources import open_source
from inspector.runtime.urls import Place

Answer = tuple[int, dict[str, str], bytes]


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((300_000, *X.shape[1:]), np.float32))
    return file.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as its function says: to the how manieth request, of which path."""

    protocol_version = "HTTP/1.1"
    answer: Callable[[int, str], Answer]
    asked: list[str]
    piece = 2**30  # bytes that are sent at a time

    def wait(self) -> None:
        """What happens between two pieces."""

    def do_GET(self) -> None:
        self.do_HEAD()

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        status, headers, body = type(self).answer(len(self.asked), self.path)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            for at in range(0, len(body), self.piece):
                self.wfile.write(body[at : at + self.piece])
                self.wait()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def serving(monkeypatch) -> Iterator[Callable[[Callable[[int, str], Answer]], tuple[str, list[str]]]]:
    """Serves as a function answers; gives the address and the paths that are asked for."""
    monkeypatch.setattr(urls.time, "sleep", lambda _: None)
    servers: list[http.server.ThreadingHTTPServer] = []

    def serve(answer: Callable[[int, str], Answer]) -> tuple[str, list[str]]:
        asked: list[str] = []
        handler = type("Answering", (Handler,), {"answer": staticmethod(answer), "asked": asked})
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        servers[-1].handle_error = lambda *_: None  # whoever has had enough hangs up
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}", asked

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def told(url: str) -> str:
    ((_, _, problem),) = read(open_source(url, [X], RAW))
    assert isinstance(problem, str)
    return problem


def test_an_address_that_is_sent_on_without_end_is_asked_once(serving):
    address, asked = serving(lambda n, _: (302, {"Location": f"/{n}.png"}, b""))
    assert told(f"{address}/a.png") == "a.png: it cannot be opened (it is sent on without end). Check the URL."
    assert len(asked) <= 2 * 11


def test_nobody_is_sent_on_to_a_file(serving):
    address, asked = serving(lambda *_: (302, {"Location": "file:///etc/hostname"}, b""))
    assert "it is sent on to what is no web address" in told(f"{address}/a.png")
    assert len(asked) <= 2


def test_nobody_is_sent_on_to_what_is_no_address(serving):
    address, asked = serving(lambda *_: (302, {"Location": "http://[::1"}, b""))
    assert "it is sent on to what is no address" in told(f"{address}/a.png")
    assert len(asked) <= 2


@pytest.mark.parametrize("more", [1000, 10**15])
def test_a_length_that_is_never_reached_is_told(serving, more):
    content = png(7)
    address, _ = serving(lambda *_: (200, {"Content-Length": str(len(content) + more)}, content))
    assert "not completed" in told(f"{address}/a.png")


def test_an_answer_that_cannot_be_read_is_asked_for_again_and_what_it_held_is_not_told(serving):
    """As aiohttp says it: with a status of its own, which is no answer of the server's."""
    serving(lambda *_: (200, {}, b""))  # no pauses
    tries = []

    def fail() -> None:
        tries.append(1)
        error = OSError()
        error.status, error.message = 400, "Data after `Connection: close`:\n\n  b'\\x1a: data'\n  ^"
        raise error from ValueError("it cannot be parsed")

    with pytest.raises(OSError, match=r"^400 Data after `Connection: close`; tried 4 times$"):
        urls.repeated(fail)
    assert len(tries) == urls.TRIES


def test_of_what_a_store_says_the_beginning_is_told(serving):
    """Where an answer is longer than it says, aiohttp says the rest of it, which is the data."""

    def fail() -> None:
        raise OSError("x" * 10_000)

    serving(lambda *_: (200, {}, b""))  # no pauses
    with pytest.raises(OSError, match=r"^x{200}; tried 4 times$"):
        urls.repeated(fail)


def test_what_is_packed_for_the_way_is_unpacked_and_no_more_than_may_be(serving, monkeypatch):
    packed = {"Content-Encoding": "gzip"}
    address, _ = serving(lambda _, path: (200, packed, gzip.compress(bytes(2**23) if "big" in path else png(7))))
    ((_, _, x),) = read(open_source(f"{address}/a.png", [X], RAW))
    assert float(x.flat[0]) == 7
    monkeypatch.setattr("inspector.runtime.pictures.MAX_BYTES", 2**21)
    assert "the file is too large" in told(f"{address}/big.png")


def test_a_server_without_ranges_is_read_from_the_beginning(serving):
    address, _ = serving(lambda *_: (200, {}, png(7)))
    ((key, _, x),) = read(open_source(f"{address}/a.png", [X], RAW))
    assert (key, float(x.flat[0])) == ("a.png", 7)


def test_a_server_that_is_silent_is_given_up_and_one_that_is_slow_is_not(serving, monkeypatch):
    monkeypatch.setattr(web, "SILENCE", 0.5)
    HTTPFileSystem.clear_instance_cache()  # of which each has its patience
    monkeypatch.setattr(Handler, "piece", 512)
    monkeypatch.setattr(Handler, "wait", lambda _: threading.Event().wait(0.04))
    slow, _ = serving(lambda *_: (200, {}, tar_bytes(samples(range(11)))))  # of 45 pieces
    assert_is_the_data_set(open_source(f"{slow}/s.tar", [X], RAW))
    monkeypatch.setattr(Handler, "wait", lambda _: threading.Event().wait(3))
    assert "Timeout on reading data from socket; tried 4 times" in told(f"{slow}/s.tar")
    HTTPFileSystem.clear_instance_cache()


def test_no_web_server_has_to_be_done_within_some_minutes_wherever_it_stands_in_a_url():
    inside = Place.of("http://127.0.0.1:1/a.zip")
    assert sync(inside.system.loop, inside.system.set_session).timeout.total is None
    with pytest.raises(InputError, match=r"it cannot be opened \(Cannot connect"):
        Place.of("zip://http://a.png::http://127.0.0.1:1/a.zip")


def test_an_array_that_becomes_another_half_way_is_no_array(serving):
    content = npy()
    address, _ = serving(lambda n, _: (200, {"ETag": f'"{n // 4}"'}, content))
    with pytest.raises(InputError, match="it changed during the run"):
        open_source(f"{address}/a.npy", [X])


@pytest.mark.parametrize(
    ("name", "path"),
    [("a%2Fb.png", "a%2Fb.png"), ("c%23d.png", "c%23d.png"), ("g h.png", "g%20h.png"), ("é.png", "%C3%A9.png")],
)
def test_names_reach_the_server_as_they_are_meant(serving, name, path):
    address, asked = serving(lambda *_: (200, {}, png(7)))
    ((key, _, _),) = read(open_source(f"{address}/{name}", [X], RAW))
    assert (key, set(asked)) == (name, {f"/{path}"})


def test_what_no_server_would_be_told_is_refused(serving):
    address, asked = serving(lambda *_: (200, {}, png(7)))
    with pytest.raises(ParameterError, match=r"what follows a #\. Write %23"):
        open_source(f"{address}/c#d.png", [X], RAW)
    with pytest.raises(ParameterError, match=r"what follows a #"):
        open_source(f"zip://a.png::{address}/c#d.zip", [X], RAW)
    assert asked == []
