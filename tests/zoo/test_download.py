"""Downloads that break off, are resumed, or bring wrong bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from helpers.zoo_fixtures import MODEL, NAME, cached_folders

import scbasset_zoo as sz
from scbasset_zoo import files
from scbasset_zoo.errors import InputError, PackageError, SourceError
from scbasset_zoo.zoo import download
from scbasset_zoo.zoo.download import Download, download_all


def test_a_dropped_download_goes_on_where_it_stopped(web):
    size = (web.folder / MODEL).stat().st_size
    web.drops[MODEL] = [10_000, 0, 70_000, 5_000]
    assert sz.pull(NAME).verify() == []
    starts = [start for path, start in web.requests if path == MODEL]
    assert starts[:2] == [0, 10_000]
    assert starts == sorted(starts)
    assert len(starts) == 5
    assert web.sent[MODEL] == size


def test_a_server_without_ranges_starts_again(web):
    web.ranges = False
    web.drops[MODEL] = [30_000, 20_000]
    assert sz.pull(NAME).verify() == []
    assert web.sent[MODEL] == (web.folder / MODEL).stat().st_size + 50_000


def test_five_attempts_without_new_bytes_end_the_download(web, tmp_path):
    web.drops[MODEL] = [10_000] + [0] * 50
    with pytest.raises(SourceError, match=r"model.onnx: (?s:.)*(after 10,000|payload|Response)"):
        sz.pull(NAME)
    assert [start for path, start in web.requests if path == MODEL] == [0] + [10_000] * 5
    assert cached_folders(tmp_path) == []


def test_the_next_pull_goes_on_where_a_failed_one_stopped(web):
    web.drops[MODEL] = [100_000] + [0] * 5
    with pytest.raises(SourceError):
        sz.pull(NAME)
    web.drops.clear()
    web.sent.clear()
    assert sz.pull(NAME).verify() == []
    assert (
        sum(web.sent.values()) - web.sent["index.json"]
        < sum(path.stat().st_size for path in (web.folder / "lab").rglob("*") if path.is_file()) - 100_000
    )


def test_another_process_goes_on_where_a_killed_one_stopped(web, tmp_path):
    web.pause = 0.01
    child = subprocess.Popen([sys.executable, "-c", f"import scbasset_zoo as sz; sz.pull({NAME!r})"])
    deadline = time.monotonic() + 30
    while web.sent[MODEL] < 50_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert cached_folders(tmp_path) == []
    (part,) = (tmp_path / "cache/partial").rglob("model.onnx")
    n_old_bytes, size = part.stat().st_size, (web.folder / MODEL).stat().st_size
    assert 40_000 < n_old_bytes < size
    time.sleep(0.1)
    web.pause = 0
    web.sent.clear()
    assert sz.pull(NAME).verify() == []
    assert web.sent[MODEL] == size - n_old_bytes


def test_wrong_bytes_never_become_visible(web, tmp_path):
    body = bytearray((web.folder / MODEL).read_bytes())
    body[1000] ^= 1
    web.replaced[MODEL] = bytes(body)
    with pytest.raises(PackageError, match=r"model.onnx of http.* does not have the expected hash.*expected sha256") as error:
        sz.pull(NAME)
    assert files.sha256(web.folder / MODEL) in str(error.value)
    assert cached_folders(tmp_path) == []
    assert list((tmp_path / "cache/partial").rglob("model.onnx")) == []
    web.replaced.clear()
    assert sz.pull(NAME).verify() == []


def test_a_file_with_more_bytes_than_expected_is_not_read_to_its_end(web):
    web.replaced[MODEL] = (web.folder / MODEL).read_bytes() + b"x" * 50_000_000
    assert sz.pull(NAME).verify() == []
    assert web.sent[MODEL] < 20_000_000


def test_a_file_that_is_too_short_is_an_error(web, tmp_path):
    web.replaced[MODEL] = (web.folder / MODEL).read_bytes()[:-10]
    with pytest.raises(SourceError, match=r"model.onnx"):
        sz.pull(NAME)
    assert cached_folders(tmp_path) == []


def test_a_damaged_partial_file_is_downloaded_again_from_the_start(web, tmp_path):
    web.drops[MODEL] = [100_000] + [0] * 5
    with pytest.raises(SourceError):
        sz.pull(NAME)
    (part,) = (tmp_path / "cache/partial").rglob("model.onnx")
    with part.open("r+b") as file:
        file.write(b"damaged")
    web.drops.clear()
    assert sz.pull(NAME).verify() == []


def test_a_download_without_enough_space_does_not_begin(web, tmp_path):
    file = Download(f"{web.url}/{MODEL}", tmp_path / "x", 10**18, "0" * 64)
    with pytest.raises(InputError, match="bytes free"):
        download_all([file], "x")
    assert web.requests == []


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe"])
def test_what_others_planted_in_a_cache_is_neither_followed_nor_written(web, tmp_path, kind):
    (tmp_path / "victim").write_bytes(b"precious")
    part = tmp_path / "part"
    {"link": part.symlink_to, "hard link": part.hardlink_to}.get(kind, lambda _: os.mkfifo(part))(tmp_path / "victim")
    size, digest = (web.folder / MODEL).stat().st_size, files.sha256(web.folder / MODEL)
    with pytest.raises(InputError, match="is a link, a folder, a pipe or a device, and is neither read nor written. Remove it"):
        download_all([Download(f"{web.url}/{MODEL}", part, size, digest)], "x")
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_download_that_is_too_slow_ends_and_is_continued_later(web, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "RATE_SECONDS", 0.3)
    monkeypatch.setattr(download, "MIN_BYTES_PER_SECOND", 10**6)
    web.pause = 0.02
    with pytest.raises(SourceError, match=r"only [\d,]+ bytes arrived within .* What arrived is kept"):
        sz.pull(NAME)
    assert cached_folders(tmp_path) == []
    (part,) = (tmp_path / "cache/partial").rglob("model.onnx")
    assert part.stat().st_size > 0
    monkeypatch.undo()
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SCBASSET_ZOO_CONFIG", str(tmp_path / "config/zoo.yaml"))
    web.pause = 0
    assert sz.pull(NAME).verify() == []
    assert max(start for path, start in web.requests if path == MODEL) > 0


def test_connections_of_a_few_bytes_do_not_hold_a_download(web, monkeypatch):
    """Each brings new bytes, so none counts as failed."""
    monkeypatch.setattr(download, "RATE_SECONDS", 0.5)
    web.drops[MODEL] = [1] * 10_000
    with pytest.raises(SourceError, match="bytes arrived within"):
        sz.pull(NAME)
