"""Places that cannot be looked at, and places that are told apart: errors with words, and one id for every file."""

from __future__ import annotations

import errno
import os
import zipfile

import fsspec
import pytest
from datasets import RAW, X, png, read

from inspector.errors import InputError, NotFoundError
from inspector.runtime import urls
from inspector.runtime.places import find
from inspector.runtime.sources import open_source


def test_a_name_that_is_too_long_is_an_error_with_words():
    with pytest.raises(InputError, match=r"it cannot be looked at \(File name too long\)\. Check the path"):
        open_source("x" * 5000, [X], RAW)


def test_a_pattern_may_be_longer_than_a_name(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(png(i))
    pattern = f"{tmp_path}/{{{','.join(f'{i % 3}.png' if i < 3 else '0.png' for i in range(1000))}}}"
    with pytest.raises(InputError, match=r"0\.png': it is listed twice"):
        open_source(pattern, [X], RAW)
    long = [f"{tmp_path}/{{0,1}}{'x' * 300}.png", f"{tmp_path}/{'x' * 300}*.png"]
    with pytest.raises(InputError, match="File name too long"):
        open_source(long[0], [X], RAW)
    with pytest.raises(NotFoundError, match="nothing fits this pattern"):
        open_source(long[1], [X], RAW)


@pytest.mark.parametrize("name", ["a.png", "*.png", "{a,b}.png"])
def test_what_lies_in_a_closed_folder_is_an_error_with_words(tmp_path, monkeypatch, name):
    """As root may look everywhere, the folder is closed by hand."""
    original = os.stat

    def closed(path, *args, **options):
        if "closed/" in str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return original(path, *args, **options)

    monkeypatch.setattr(os, "stat", closed)
    says = "nothing fits this pattern" if "*" in name else r"it cannot be looked at \(Permission denied\)"
    with pytest.raises((InputError, NotFoundError), match=says):
        open_source(f"{tmp_path}/closed/{name}", [X], RAW)


@pytest.mark.parametrize("url", ["zip://a.png::file://{}", "tar://a.png::file://{}", "zip://a.png::file://{}.absent"])
def test_what_a_url_lies_in_is_looked_at_too(tmp_path, url):
    (tmp_path / "x.npy").write_bytes(b"neither")
    with pytest.raises(InputError, match="it cannot be opened"):
        open_source(url.format(tmp_path / "x.npy"), [X], RAW)


def test_urls_that_differ_in_their_queries_are_different_files(monkeypatch):
    system = fsspec.filesystem("memory")
    for i in range(3):
        system.pipe(f"/q/a.png?{i}", png(i))
    urls = [f"memory://q/a.png?{i}" for i in (2, 0, 1)]
    found = {key: float(x.flat[0]) for key, _, x in read(open_source(urls, [X], RAW))}
    assert found == {"a.png": 2, "a.png(2)": 0, "a.png(3)": 1}
    with pytest.raises(InputError, match=r"a\.png\(2\)': it is listed twice"):
        open_source([*urls, urls[1]], [X], RAW)


def test_a_file_url_leaves_nothing_out(tmp_path):
    for name in ("a#b.png", "a?b.png", "c1.png"):
        (tmp_path / name).write_bytes(b"")
    for text, names in (("a#b.png", ["a#b.png"]), ("a%23b.png", ["a#b.png"]), ("c?.png", ["c1.png"])):
        for host in ("", "localhost"):
            assert [file.path.name for file in find([f"file://{host}{tmp_path}/{text}"]).files] == names


def test_numbers_that_go_down_stand_for_nothing():
    with pytest.raises(InputError, match=r"\{5\.\.3\}: it stands for no number"):
        find(["t-{5..3}.tar"])


@pytest.fixture
def archive(tmp_path):
    """Pictures in a zip file."""
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as file:
        for i in range(3):
            file.writestr(f"in/{i}.png", png(i))
    return f"file://{tmp_path}/c.zip"


@pytest.mark.parametrize("pattern", ["zip://in/*.png", "zip://in/{0..2}.png", "zip://in"])
def test_what_lies_in_an_archive_is_named_after_itself_and_patterns_hold_there(archive, pattern):
    found = read(open_source(f"{pattern}::{archive}", [X], RAW))
    assert [(key, float(x.flat[0])) for key, _, x in found] == [("0.png", 0), ("1.png", 1), ("2.png", 2)]
    ((key, _, _),) = read(open_source(f"zip://in/1.png::{archive}", [X], RAW))
    assert key == "1.png"


def test_files_of_one_name_in_two_archives_are_told_apart(archive, tmp_path):
    (tmp_path / "d.zip").write_bytes((tmp_path / "c.zip").read_bytes())
    places = [f"zip://in/1.png::file://{tmp_path}/{name}.zip" for name in "cd"]
    assert [key for key, _, _ in read(open_source(places, [X], RAW))] == ["c.zip/in/1.png", "d.zip/in/1.png"]


def test_patterns_hold_through_a_cache(memory, tmp_path):
    memory.pipe({f"/w/{i}.png": png(i) for i in range(3)})
    found = read(open_source("simplecache::memory://w/*.png", [X], RAW))
    assert [(key, float(x.flat[0])) for key, _, x in found] == [("0.png", 0), ("1.png", 1), ("2.png", 2)]


def test_what_an_archive_does_not_have_is_not_asked_for_again(archive, monkeypatch):
    asked = list[float]()
    monkeypatch.setattr(urls.time, "sleep", asked.append)
    ((key, _, problem),) = read(open_source(f"zip://in/7.png::{archive}", [X], RAW))
    assert (key, asked) == ("7.png", [])
    assert problem == "7.png: it cannot be opened (There is no item named 'in/7.png' in the archive). Check the URL."
