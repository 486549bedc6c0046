"""Reading at URLs: failing, silent and slow servers, and files that are too large."""

from __future__ import annotations

import gzip
import socket
import time

import pytest
from helpers.zoo_fixtures import MODEL, NAME
from helpers.zoo_server import dripping_server

import scbasset_zoo as sz
from scbasset_zoo.errors import PackageError, SourceError
from scbasset_zoo.zoo import http_client, remote
from scbasset_zoo.zoo.models import find_package


def test_temporary_errors_are_tried_again_and_final_ones_are_not(web):
    web.statuses[MODEL] = [503, 429, 500]
    assert sz.pull(NAME).verify() == []
    assert len([path for path, _ in web.requests if path == MODEL]) == 4
    with pytest.raises(SourceError, match=r"nothing/card.yaml: there is nothing at this address"):
        find_package(f"{web.url}/nothing")
    assert len([path for path, _ in web.requests if path == "nothing/card.yaml"]) == 1
    web.statuses["secret/card.yaml"] = [403]
    with pytest.raises(SourceError, match="access is refused"):
        find_package(f"{web.url}/secret")


def test_a_silent_server_is_an_error(web, monkeypatch):
    monkeypatch.setattr(http_client, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(remote, "ATTEMPTS", 2)
    _forget_connections()
    web.pause = 1.0
    with pytest.raises(SourceError, match="did not answer within"):
        find_package(f"{web.url}/lab/blood/1.0.0")
    _forget_connections()


def test_a_slow_server_is_waited_for(web):
    web.pause = 0.002
    assert sz.pull(NAME).verify() == []


def test_a_card_that_is_too_large_is_refused(web):
    (web.folder / "big").mkdir()
    (web.folder / "big/card.yaml").write_bytes(b"#" * 5 * 2**20)
    with pytest.raises(PackageError, match="more than 4,194,304 bytes"):
        find_package(f"{web.url}/big")


def _forget_connections():
    from fsspec.implementations.http import HTTPFileSystem

    HTTPFileSystem.clear_instance_cache()


def test_a_small_file_has_a_deadline(web, monkeypatch):
    monkeypatch.setattr(remote, "SMALL_FILE_SECONDS", -1.0)
    with pytest.raises(SourceError, match="did not arrive within"):
        remote.read(f"{web.url}/index.json", 2**20)


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_sends_a_byte_now_and_then_is_left(configure, monkeypatch, part):
    """Each byte would start aiohttp's own limit again."""
    monkeypatch.setattr(http_client, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(remote, "SMALL_FILE_SECONDS", 0.5)
    _forget_connections()
    start = time.monotonic()
    with dripping_server(part) as url, pytest.raises(SourceError, match="did not (answer|arrive) within 0.5 seconds"):
        remote.read(f"{url}/index.json", 2**20, attempts=1)
    assert time.monotonic() - start < 10
    _forget_connections()


def test_a_compressed_answer_is_not_unpacked_without_end(web):
    """A server may compress although this client does not accept it."""
    web.replaced["index.json"] = gzip.compress(bytes(200 * 2**20), compresslevel=1)
    web.headers["Content-Encoding"] = "gzip"
    with pytest.raises((PackageError, SourceError)):
        remote.read(f"{web.url}/index.json", 2**20, attempts=1)


@pytest.mark.parametrize("read", [lambda url: remote.read(url, 100, attempts=1), lambda url: remote.size(url)])
def test_a_host_that_cannot_be_found_and_one_that_refuses_are_no_missing_files(read, monkeypatch):
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.01)
    with pytest.raises(SourceError, match="this machine is offline, or the address is wrong: the host cannot be found"):
        read("http://no-such-host.invalid/index.json")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(SourceError, match="the host refuses the connection: the server is down, or the address is wrong"):
        read(f"http://127.0.0.1:{port}/index.json")
