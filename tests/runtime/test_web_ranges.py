"""Web servers and parts of files: given, given in pieces, not given, or other ones than were asked for."""

from __future__ import annotations

import http.server
import io
import re
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pytest
from datasets import RAW, X, png, read, tar_bytes
from pyarrow import parquet as pq

from inspector.contract import TensorInfo
from inspector.errors import InputError
from inspector.runtime import urls
from inspector.runtime.sources import open_source

ROWS = np.random.default_rng(0).random((600, 3, 64, 64), np.float32)  # 29 MB; fsspec asks for 6 at first, then for 5
ROW = TensorInfo("x", "float32", ("N", 3, 64, 64))
Part = tuple[int, int, int]
"""Status, first byte and the one after the last."""


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, ROWS)
    return file.getvalue()


def tar() -> bytes:
    return tar_bytes({"0.png": png(3), "junk.bin": np.random.default_rng(0).bytes(9 * 2**20), "1.png": png(4)})


def parquet() -> bytes:
    file = io.BytesIO()
    junk = [np.random.default_rng(i).bytes(2**20) for i in range(9)]
    pq.write_table(pa.table({"image": [png(3)] * 9, "junk": junk}), file, compression="none")
    return file.getvalue()


@pytest.fixture
def serving(monkeypatch) -> Iterator[Callable[..., str]]:
    """Serves one content, of every part that is asked for that which a function says; gives the address."""
    monkeypatch.setattr(urls.time, "sleep", lambda _: None)
    servers: list[http.server.ThreadingHTTPServer] = []

    def serve(content: bytes, part: Callable[[int, int], Part], *, says: bool = True) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send(200, 0, len(content))

            def do_GET(self) -> None:
                asked = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                status, start, stop = part(int(asked[1]), int(asked[2]) + 1) if asked else (200, 0, len(content))
                stop = min(stop, len(content))
                self.send(status, start, stop)
                self.wfile.write(content[start:stop])

            def send(self, status: int, start: int, stop: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(stop - start))
                if says and status == 206:
                    self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        servers[-1].handle_error = lambda *_: None  # whoever has another part than he asked for hangs up
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "part",
    [
        lambda start, stop: (206, start, stop),
        lambda start, stop: (206, start, start + max((stop - start) // 2, 1)),  # as RFC 9110 allows
        lambda start, stop: (206, start, stop + 1000),
    ],
    ids=["as asked", "less", "more"],
)
def test_an_array_is_put_together_of_whatever_parts_a_server_gives(serving, part):
    content = npy()
    source = open_source(f"{serving(content, part)}/x.npy", [ROW])
    np.testing.assert_array_equal(np.stack([item.read()["x"] for item in source]), ROWS)


@pytest.mark.parametrize("says", [True, False])
def test_another_part_than_was_asked_for_is_not_taken_for_it(serving, says):
    address = serving(npy(), lambda start, stop: (206, 0, stop - start), says=says)
    with pytest.raises(InputError, match=r"it gave another part of the file than it was asked for.* Try again later"):
        open_source(f"{address}/x.npy", [ROW])


def test_a_file_that_became_shorter_does_not_end_where_its_server_has_no_more(serving):
    address = serving(npy(), lambda start, stop: (416 if start else 206, start, stop))
    with pytest.raises(InputError, match=r"it gave 0 bytes of .*; tried 4 times\)\. Try again later"):
        open_source(f"{address}/x.npy", [ROW])


@pytest.mark.parametrize(("name", "content"), [("x.npy", npy), ("x.tar", tar)])
def test_a_large_file_is_read_from_a_server_that_gives_no_parts_of_files(serving, name, content):
    """As Python's own `http.server`, which does not say so beforehand."""
    whole = content()
    address = serving(whole, lambda *_: (200, 0, len(whole)))
    found = read(open_source(f"{address}/{name}", [ROW if name == "x.npy" else X], RAW))
    assert not [x for _, _, x in found if isinstance(x, str)]
    values = np.stack([x for _, _, x in found])
    np.testing.assert_array_equal(
        values, ROWS if name == "x.npy" else np.broadcast_to([[[[3]]], [[[4]]]], (2, 1, 2, 2))
    )


def test_parquet_needs_parts_of_files_and_says_so(serving):
    whole = parquet()
    ((_, _, problem),) = read(open_source(f"{serving(whole, lambda *_: (200, 0, len(whole)))}/x.parquet", [X], RAW))
    assert "its server gives no parts of files). Download it first." in problem
