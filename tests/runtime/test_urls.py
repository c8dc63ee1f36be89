"""URLs: the same data set wherever it lies, read on where a connection breaks, and given up with a reason."""

from __future__ import annotations

import http.server
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest
from datasets import FILES, LABELS, PIXELS, RAW, X, assert_is_the_data_set, png, read, samples, tar_bytes
from fsspec.implementations.memory import MemoryFileSystem
from pyarrow import parquet as pq

from inspector.errors import InputError, NotFoundError, ParameterError
from inspector.runtime import urls
from inspector.runtime.sources import open_source


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that were asked for, in place of pauses."""
    asked: list[float] = []
    monkeypatch.setattr(urls.time, "sleep", asked.append)
    return asked


def parquet_bytes() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"image": [png(p) for p in PIXELS], "label": LABELS}), file, row_group_size=4)
    return file.getvalue()


def test_a_folder_behind_a_url_is_that_folder(memory):
    for name, content in FILES.items():
        memory.pipe(f"/set/{name}", content)
    memory.pipe({"/set/.hidden/a.png": png(1), "/set/ant/.hidden/a.png": png(1)})
    memory.pipe("/set/notes.txt", b"")
    source = open_source("memory://set", [X], RAW)
    assert_is_the_data_set(source)
    assert [item.id for item in source] == list(FILES)
    assert (source.total, source.description) == (11, "folder memory://set (11 pictures; 3 other files ignored)")


def test_files_of_every_kind_are_read_behind_urls(memory, tmp_path):
    x = np.array(PIXELS, np.float32)[:, None]
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "a.npz", x=x)
    for name in ("a.npy", "a.npz"):
        memory.pipe(f"/{name}", (tmp_path / name).read_bytes())
        found = read(open_source(f"memory://{name}", [X]))
        assert [key for key, _, _ in found] == [f"{name}[{i}]" for i in range(11)]
        np.testing.assert_array_equal([a for _, _, a in found], x)
    memory.pipe("/a.tar.gz", tar_bytes(samples(range(11)), "w:gz"))
    memory.pipe("/a.parquet", parquet_bytes())
    for name in ("a.tar.gz", "a.parquet"):
        assert_is_the_data_set(open_source(f"memory://{name}", [X], RAW))


def test_patterns_work_in_urls(memory):
    for shard, numbers in enumerate((range(5), range(5, 11))):
        memory.pipe(f"/w/t-{shard:02d}.tar", tar_bytes(samples(numbers)))
    for pattern in ("memory://w/t-{00..01}.tar", "memory://w/t-*.tar"):
        source = open_source(pattern, [X], RAW)
        assert_is_the_data_set(source)
        assert next(iter(source)).id == "t-00.tar/00.png"
    with pytest.raises(NotFoundError, match="nothing fits this pattern"):
        open_source("memory://w/*.zip", [X], RAW)


def test_what_fits_a_pattern_comes_sorted_in_whatever_order_a_store_lists_it(memory, monkeypatch):
    memory.pipe({f"/w/t-{shard}.tar": tar_bytes(samples([shard])) for shard in range(3)})
    glob = MemoryFileSystem.glob
    monkeypatch.setattr(MemoryFileSystem, "glob", lambda self, path: glob(self, path)[::-1])
    found = read(open_source("memory://w/t-*.tar", [X], RAW))
    assert [key for key, _, _ in found] == [f"t-{n}.tar/{n:02d}.png" for n in range(3)]


def test_places_of_every_kind_go_together(memory, tmp_path):
    memory.pipe("/w/t.tar", tar_bytes(samples(range(5))))
    (tmp_path / "u.tar").write_bytes(tar_bytes(samples(range(5, 11))))
    assert_is_the_data_set(open_source(["memory://w/t.tar", tmp_path / "u.tar"], [X], RAW))
    assert_is_the_data_set(open_source(["memory://w/t.tar", f"file://{tmp_path}/u.tar"], [X], RAW))


def test_a_file_url_is_a_path_of_this_machine(tmp_path):
    (tmp_path / "a b.png").write_bytes(png(7))
    source = open_source(f"file://{tmp_path}/a%20b.png", [X], RAW)
    assert source.description == f"file {tmp_path}/a b.png (1 picture)"
    assert float(read(source)[0][2].flat[0]) == 7


def test_what_cannot_be_read_here_says_which_package_is_missing():
    with pytest.raises(ParameterError, match="Install s3fs to access S3"):
        open_source("s3://bucket/x.tar", [X], RAW)
    with pytest.raises(ParameterError, match="Protocol not known: nonsense"):
        open_source("nonsense://x.tar", [X], RAW)
    with pytest.raises(NotFoundError, match="there is no such file or folder"):
        open_source("memory://absent", [X], RAW)


@pytest.mark.parametrize(
    ("url", "shown"),
    [("https://me:secret@host/a.tar?sig=x", "https://host/a.tar"), ("s3://bucket/a@b/c.tar", "s3://bucket/a@b/c.tar")],
)
def test_passwords_in_urls_are_not_shown(url, shown):
    assert urls.public(url) == shown


def test_a_file_that_is_too_large_is_not_read_whole(memory, monkeypatch):
    monkeypatch.setattr("inspector.runtime.pictures.MAX_BYTES", 2**21)
    memory.pipe("/big.png", bytes(2**23))
    ((_, _, problem),) = read(open_source("memory://big.png", [X], RAW))
    assert problem == "big.png: the file is too large; expected at most 2,097,152 bytes."


# ------------------------------------------------------------------------------------------------ broken connections


class Breaking(io.BytesIO):
    """Breaks at the places in the set, once at each; where `forever`, always there."""

    def __init__(self, content: bytes, breaks: set[int], *, forever: bool, seeks: bool) -> None:
        super().__init__(content)
        self.breaks, self.forever, self.seeks = breaks, forever, seeks

    def seekable(self) -> bool:
        return self.seeks

    def read(self, size: int | None = -1, /) -> bytes:
        at = self.tell()
        for place in sorted(self.breaks):
            if at <= place < at + (size or 0):
                if at < place:
                    return super().read(place - at)
                if not self.forever:
                    self.breaks.discard(place)
                raise ConnectionResetError("the other side hung up")
        return super().read(size)


@pytest.mark.parametrize("seeks", [True, False])
@pytest.mark.parametrize("breaks", [{0}, {1}, {700, 5000, 5001}, set(range(0, 20_000, 512))])
def test_reading_goes_on_where_a_connection_broke(breaks, seeks):
    content = np.random.default_rng(0).bytes(20_000)
    left = set(breaks)
    with urls.Steady(lambda: Breaking(content, left, forever=False, seeks=seeks)) as file:
        assert io.BufferedReader(file, 1000).read() == content
    assert left == set()


def test_a_file_that_is_shorter_when_it_is_opened_again_does_not_end_there():
    contents = iter([bytes(100), *[bytes(40)] * urls.TRIES])
    with urls.Steady(lambda: Breaking(next(contents), {50}, forever=True, seeks=False)) as file:
        assert len(file.read(60)) == 50
        with pytest.raises(OSError, match="it became shorter"):
            file.read(60)


def test_trying_ends_with_longer_and_longer_pauses(no_pauses):
    with urls.Steady(lambda: Breaking(bytes(100), {50}, forever=True, seeks=True)) as file:
        assert len(file.read(60)) == 50
        with pytest.raises(OSError, match="the other side hung up; tried 4 times"):
            file.read(60)
    assert no_pauses == [0.25, 0.5, 1.0]


def test_what_will_not_mend_is_not_tried_again(no_pauses):
    def refuse():
        raise PermissionError("not yours")

    with pytest.raises(PermissionError):
        urls.repeated(refuse)
    assert no_pauses == []


def test_a_failure_that_fsspec_calls_a_missing_file_is_tried_again(no_pauses):
    """As it does with any failure of HTTP, which is then the cause."""
    tries = []

    def act() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise FileNotFoundError("https://host/a") from ConnectionError("the server is restarting")
        return "there"

    assert urls.repeated(act) == "there"
    assert len(tries) == 3


@dataclass
class Server:
    """What is served, and at which byte each answer breaks off; how often each path was asked for."""

    files: dict[str, bytes]
    breaks_at: dict[str, int] = field(default_factory=dict)
    breaks_left: int = 0
    marks: dict[str, str] = field(default_factory=lambda: {"ETag": '"v1"'})
    refuses: int = 0
    asked: list[str] = field(default_factory=list)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with a file or a range of it, as its server's `state` says."""

    state: Server

    def do_HEAD(self) -> None:
        self.head()

    def do_GET(self) -> None:
        if (wanted := self.head()) is None:
            return
        self.state.asked.append(self.path)
        content, (start, stop) = self.state.files[self.path], wanted
        end = self.state.breaks_at.get(self.path, stop)
        if end < stop and self.state.breaks_left:
            self.state.breaks_left -= 1
            self.close_connection, stop = True, max(start, end)
        self.wfile.write(content[start:stop])

    def head(self) -> tuple[int, int] | None:
        content = self.state.files.get(self.path)
        if content is None or self.state.refuses:
            self.send_error(self.state.refuses or 404)
            return None
        start, stop = 0, len(content)
        if wanted := self.headers.get("Range"):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last or stop) + 1, stop)
        self.send_response(206 if wanted else 200)
        for name, value in {
            "Content-Length": str(stop - start),
            "Accept-Ranges": "bytes",
            **self.state.marks,
            "Content-Range": f"bytes {start}-{stop - 1}/{len(content)}",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        return start, stop

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def served() -> Iterator[tuple[str, Server]]:
    """A web server on this machine, with ranges, whose answers may break off."""
    state = Server({})
    handler = type("Answering", (Handler,), {"state": state})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.handle_error = lambda *_: None  # whoever has had enough hangs up
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", state
        server.shutdown()
        thread.join()


def test_a_web_server_that_hangs_up_now_and_then_loses_nothing(served):
    address, server = served
    server.files["/s.tar"] = tar_bytes(samples(range(11)))
    server.breaks_at["/s.tar"], server.breaks_left = 5000, 2
    assert_is_the_data_set(open_source(f"{address}/s.tar", [X], RAW))
    assert server.breaks_left == 0


def test_a_web_server_that_hangs_up_for_good_is_told_and_the_next_file_is_read(served):
    address, server = served
    server.files |= {"/0.tar": tar_bytes(samples(range(6))), "/1.tar": tar_bytes(samples(range(6, 11)))}
    server.breaks_at["/0.tar"], server.breaks_left = 5000, 10_000
    found = read(open_source([f"{address}/0.tar", f"{address}/1.tar"], [X], RAW))
    (told,) = [(key, x) for key, _, x in found if isinstance(x, str)]
    assert told[0] == "0.tar"
    assert "0.tar: it cannot be read" in told[1]
    assert "tried 4 times" in told[1]
    assert [key for key, _, x in found if not isinstance(x, str)][-5:] == [f"1.tar/{i:02d}.png" for i in range(6, 11)]


def test_parquet_and_pictures_come_over_http_and_a_query_is_no_part_of_a_name(served):
    address, server = served
    server.files |= {"/d.parquet": parquet_bytes(), "/a.png?token=7": png(7)}
    assert_is_the_data_set(open_source(f"{address}/d.parquet", [X], RAW))
    source = open_source(f"{address}/a.png?token=7", [X], RAW)
    assert "token" not in source.description
    ((key, _, x),) = read(source)
    assert (key, float(x.flat[0])) == ("a.png", 7)


def test_a_file_that_the_web_server_does_not_have_is_an_error_of_that_file(served):
    address, server = served
    server.files["/1.tar"] = tar_bytes(samples(range(11)))
    found = read(open_source(f"{address}/{{0..1}}.tar", [X], RAW))
    assert found[0][2].startswith("0.tar: it cannot be opened (")
    assert len(found) == 12


@pytest.mark.parametrize(
    ("status", "pauses", "says"),
    [
        (400, 0, r"it cannot be opened \(400 Bad Request\)\. Check the URL"),
        (403, 0, r"it cannot be opened \(403 Forbidden\)\. Check the URL"),
        (404, 0, r"it cannot be opened \(404 Not Found\)\. Check the URL"),
        (429, 3, r"it cannot be opened \(429 Too Many Requests; tried 4 times\)\. Try again later"),
        (503, 3, r"it cannot be opened \(503 Service Unavailable; tried 4 times\)\. Try again later"),
    ],
)
def test_what_a_web_server_answers_is_said_and_what_it_will_answer_again_is_not_tried_again(
    served, no_pauses, status, pauses, says
):
    address, server = served
    server.refuses = status
    with pytest.raises(InputError, match=says):
        open_source(f"{address}/x.npy", [X])
    assert len(no_pauses) == pauses


def test_where_no_server_answers_that_is_said():
    with pytest.raises(
        InputError, match=r"it cannot be opened \(Cannot connect to host 127\.0\.0\.1:1 .*tried 4 times"
    ):
        open_source("http://127.0.0.1:1/x.npy", [X])


def test_a_shard_is_known_by_its_etag(served):
    address, server = served
    server.files["/s.tar"] = tar_bytes(samples(range(2)))
    (shard,) = open_source(f"{address}/s.tar", [X], RAW).shards(8)
    assert shard.id == f"s.tar@{len(server.files['/s.tar'])}-v1"


@pytest.mark.parametrize("mark", ["Last-Modified", "Content-MD5", "Digest"])
def test_a_changed_file_has_another_id_whichever_mark_the_web_server_gives(served, mark):
    address, server = served
    server.files["/s.tar"] = tar_bytes(samples(range(2)))
    ids = []
    for value in ("one", "two", "two"):
        server.marks = {mark: value}
        ids += [shard.id for shard in open_source(f"{address}/s.tar", [X], RAW).shards(8)]
    assert ids[0] != ids[1] == ids[2] == f"s.tar@{len(server.files['/s.tar'])}-two"


def test_a_file_of_which_the_listing_says_nothing_is_asked_for_itself(served):
    """As of a folder behind http, which is a page of links."""
    address, server = served
    server.files |= {"/d": b'<a href="a.png">a</a>', "/d/": b'<a href="a.png">a</a>', "/d/a.png": png(7)}
    ids = []
    for value in ('"v1"', '"v2"'):
        server.marks = {"ETag": value}
        ids += [shard.id for shard in open_source(f"{address}/d", [X], RAW).shards(8)]
    assert ids[0] != ids[1]
    assert not ids[0].endswith("unmarked")


def test_a_file_without_any_mark_says_so_in_its_id(served):
    address, server = served
    server.marks = {}
    server.files |= {"/s.tar": tar_bytes(samples(range(2))), "/a.png": png(7), "/b.png": png(7)}
    source = open_source([f"{address}/{name}" for name in ("s.tar", "a.png", "b.png")], [X], RAW)
    assert [shard.id.rpartition("-")[2] for shard in source.shards(8)] == ["unmarked", "unmarked"]


def test_an_address_that_cannot_be_looked_at_is_an_error(monkeypatch, memory):
    monkeypatch.setattr(MemoryFileSystem, "exists", lambda *_: (_ for _ in ()).throw(OSError("down")))
    with pytest.raises(InputError, match=r"it cannot be looked at \(down; tried 4 times\)"):
        open_source("memory://set", [X], RAW)
