"""The cache on disk."""

from __future__ import annotations

import contextlib
import hashlib
import os

import pytest
from helpers.zoo_fixtures import NAME

import scbasset_zoo as sz
from scbasset_zoo import files
from scbasset_zoo.errors import InputError, SourceError
from scbasset_zoo.zoo.index import Index
from scbasset_zoo.zoo.indexing import build_index


def test_a_cache_that_cannot_be_written_is_an_error_that_names_the_variable(web, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / place))
        with pytest.raises(InputError, match=rf"The cache {tmp_path / place} cannot be written: .*Set SCBASSET_ZOO_CACHE"):
            sz.pull(NAME)


@pytest.fixture
def victim(tmp_path):
    """A folder of the user's that must stay as it is, and a check that it did."""
    folder = tmp_path / "victim"
    (folder / "tests").mkdir(parents=True)
    for name in ("card.yaml", "model.onnx", "tests/expected.npz"):
        (folder / name).write_bytes(b"precious" * 100_000)
    yield folder
    files_of_victim = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files_of_victim == {"card.yaml", "model.onnx", "tests/expected.npz"}
    assert {path.read_bytes() for path in folder.rglob("*") if path.is_file()} == {b"precious" * 100_000}


def places(web, tmp_path):
    """Return the places of a cache that others may foresee, by what is there."""
    index, root = Index.parse((web.folder / "index.json").read_bytes(), ""), tmp_path / "cache"
    (entry,) = index.models
    return {
        "lock": root / "locks" / f"{entry.key}.lock",
        "locks": root / "locks",
        "copy": root / "fetched" / hashlib.sha256(f"{web.url}/index.json".encode()).hexdigest(),
        "copies": root / "fetched",
        "download": root / "partial" / entry.key,
        "package of a download": root / "partial" / entry.key / "package",
        "folder of a download": root / "partial" / entry.key / "package/tests",
        "file of a download": root / "partial" / entry.key / "package/model.onnx",
        "id": root / "models" / entry.id,
        "group": root / "models" / entry.id.split("/")[0],
    }


PLACES = ("lock", "locks", "copy", "copies", "download", "package of a download", "folder of a download", "file of a download")


@pytest.mark.parametrize("what", ["link to a file", "link to a folder", "dangling link", "pipe", "folder", "hard link"])
@pytest.mark.parametrize("place", [*PLACES, "id", "group"])
def test_what_others_planted_in_a_cache_is_not_followed(web, tmp_path, victim, place, what):
    path = places(web, tmp_path)[place]
    path.parent.mkdir(parents=True, exist_ok=True)
    plant = {
        "link to a file": lambda: path.symlink_to(victim / "model.onnx"),
        "link to a folder": lambda: path.symlink_to(victim),
        "dangling link": lambda: path.symlink_to(victim / "new"),
        "pipe": lambda: os.mkfifo(path),
        "folder": lambda: path.mkdir(),
        "hard link": lambda: path.hardlink_to(victim / "model.onnx"),
    }
    plant[what]()
    with contextlib.suppress(InputError):
        assert sz.pull(NAME).verify() == []
    # Without the network, the copies are read.
    web.statuses["index.json"] = [500] * 10
    with contextlib.suppress(SourceError):
        assert [model.id for model in sz.list_models()] == [NAME]


def test_the_copy_of_an_index_replaces_a_link(web, tmp_path, victim):
    path = places(web, tmp_path)["copy"]
    path.parent.mkdir(parents=True)
    path.symlink_to(victim / "card.yaml")
    sz.list_models()
    assert not path.is_symlink()
    assert path.read_bytes() == (web.folder / "index.json").read_bytes()


def test_a_copy_that_is_too_large_is_not_read(web, tmp_path):
    path = places(web, tmp_path)["copy"]
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(2**40)
    web.statuses["index.json"] = [500] * 10
    with pytest.raises(SourceError, match="index.json"):
        sz.list_models()


def test_a_planted_lock_of_an_index_is_an_error_in_words(lab, victim):
    lock = lab / ".index.lock"
    lock.unlink()
    for plant in (lambda: lock.symlink_to(victim / "card.yaml"), lock.mkdir):
        plant()
        with pytest.raises(InputError, match=r"\.index\.lock cannot be locked: .*Remove it"):
            build_index(lab)
        files.remove(lock)
