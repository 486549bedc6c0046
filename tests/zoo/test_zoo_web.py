"""The zoo over a web server that drops connections, sends wrong bytes, points elsewhere, is slow, or is gone."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers import toy
from helpers.zoo_server import Server
from pydantic import BaseModel, Field, FilePath

import scbasset_zoo as sz
from scbasset_zoo import Importer, files, hookimpl, plugin_manager
from scbasset_zoo.errors import InputError, PackageError, SourceError
from scbasset_zoo.kipoi.folder import refresh, registered_folder
from scbasset_zoo.package.reading import Package
from scbasset_zoo.zoo import remote
from scbasset_zoo.zoo.index import build_index
from scbasset_zoo.zoo.models import find_package

NAME = "lab/blood"
MODEL = "lab/blood/1.0.0/model.onnx"
PULL = f"import scbasset_zoo as sz; print(sz.pull('{NAME}').folder)"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A source with one package, whose network has about 300 kB."""
    folder = tmp_path_factory.mktemp("web")
    package = toy.toy_package(folder / "package", id=NAME, widths=(32,) * 8, n_cells=50).folder
    sz.publish(package, folder / "source")
    return folder / "source"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Function (location): make it the only source. The cache is empty, and broken connections are made anew at once."""
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.01)
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SCBASSET_ZOO_CONFIG", str(tmp_path / "zoo.yaml"))
    return lambda location: (tmp_path / "zoo.yaml").write_text(yaml.safe_dump({"sources": {"bundled": {"location": location}}}))


@pytest.fixture
def web(original, tmp_path, settings):
    """The server of a copy of the source."""
    with Server(shutil.copytree(original, tmp_path / "source")) as server:
        settings(server.url)
        yield server


def complete(tmp_path):
    """Folders of the cache in which a package is visible."""
    return sorted(path.parent for path in (tmp_path / "cache/models").rglob("card.yaml"))


def test_a_model_is_pulled_on_first_use_and_predicts_as_its_original(web, tmp_path):
    sequences = toy.random_sequences(3)
    expected = sz.open_model(web.folder / "lab/blood/1.0.0", "cpu").embed(sequences)
    np.testing.assert_array_equal(sz.open_model(NAME, "cpu").embed(sequences), expected)
    assert web.sent[MODEL] == (web.folder / MODEL).stat().st_size
    digest = files.sha256(web.folder / "lab/blood/1.0.0/card.yaml")
    assert complete(tmp_path) == [tmp_path / f"cache/models/lab/blood/1.0.0-{digest[:12]}"]
    by_url = find_package(f"{web.url}/lab/blood/1.0.0/")
    assert by_url.folder == tmp_path / f"cache/urls/{digest}"
    assert by_url.verify() == []


def test_a_cached_version_is_opened_without_the_network(web):
    sz.pull(NAME)
    web.asked.clear()
    find_package(f"{NAME}@1.0.0")
    assert web.asked == []
    find_package(NAME)
    assert web.asked == [("index.json", 0)]


def test_dropped_connections_are_gone_on_with_where_they_broke(web):
    size = (web.folder / MODEL).stat().st_size
    web.drops[MODEL] = [10_000, 0, 70_000, 5_000]
    assert sz.pull(NAME).verify() == []
    starts = [start for path, start in web.asked if path == MODEL]
    assert starts[:2] == [0, 10_000]
    assert starts == sorted(starts)
    assert len(starts) == 5
    assert web.sent[MODEL] == size


def test_a_server_without_ranges_starts_again(web):
    web.ranges = False
    web.drops[MODEL] = [30_000, 20_000]
    assert sz.pull(NAME).verify() == []
    assert web.sent[MODEL] == (web.folder / MODEL).stat().st_size + 50_000


def test_five_attempts_that_bring_nothing_are_enough(web, tmp_path):
    web.drops[MODEL] = [10_000] + [0] * 50
    with pytest.raises(SourceError, match=r"model.onnx: (?s:.)*(after 10,000|payload|Response)"):
        sz.pull(NAME)
    assert [start for path, start in web.asked if path == MODEL] == [0] + [10_000] * 5
    assert complete(tmp_path) == []


def test_a_pull_that_broke_off_is_gone_on_with_by_the_next(web):
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


def test_a_killed_pull_is_gone_on_with_by_another_process(web, tmp_path):
    web.pause = 0.01
    child = subprocess.Popen([sys.executable, "-c", PULL])
    deadline = time.monotonic() + 30
    while web.sent[MODEL] < 50_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert complete(tmp_path) == []
    (part,) = (tmp_path / "cache/partial").rglob("model.onnx")
    there, size = part.stat().st_size, (web.folder / MODEL).stat().st_size
    assert 40_000 < there < size
    time.sleep(0.1)
    web.pause = 0
    web.sent.clear()
    assert sz.pull(NAME).verify() == []
    assert web.sent[MODEL] == size - there


def test_wrong_bytes_never_become_visible(web, tmp_path):
    body = bytearray((web.folder / MODEL).read_bytes())
    body[1000] ^= 1
    web.replaced[MODEL] = bytes(body)
    with pytest.raises(PackageError, match=r"model.onnx of http.* is not the file that was promised.*expected sha256") as error:
        sz.pull(NAME)
    assert files.sha256(web.folder / MODEL) in str(error.value)
    assert complete(tmp_path) == []
    assert list((tmp_path / "cache/partial").rglob("model.onnx")) == []
    web.replaced.clear()
    assert sz.pull(NAME).verify() == []


def test_a_file_with_more_bytes_than_promised_is_not_read_on(web):
    web.replaced[MODEL] = (web.folder / MODEL).read_bytes() + b"x" * 50_000_000
    assert sz.pull(NAME).verify() == []
    assert web.sent[MODEL] < 20_000_000


def test_a_file_that_is_too_short_is_an_error(web, tmp_path):
    web.replaced[MODEL] = (web.folder / MODEL).read_bytes()[:-10]
    with pytest.raises(SourceError, match=r"model.onnx"):
        sz.pull(NAME)
    assert complete(tmp_path) == []


def test_a_damaged_beginning_of_an_earlier_time_costs_one_new_start(web, tmp_path):
    web.drops[MODEL] = [100_000] + [0] * 5
    with pytest.raises(SourceError):
        sz.pull(NAME)
    (part,) = (tmp_path / "cache/partial").rglob("model.onnx")
    with part.open("r+b") as file:
        file.write(b"damaged")
    web.drops.clear()
    assert sz.pull(NAME).verify() == []


def test_an_overloaded_server_is_asked_again_and_a_missing_file_is_not(web):
    web.statuses[MODEL] = [503, 429, 500]
    assert sz.pull(NAME).verify() == []
    assert len([path for path, _ in web.asked if path == MODEL]) == 4
    with pytest.raises(SourceError, match=r"nothing/card.yaml: there is nothing at this address"):
        find_package(f"{web.url}/nothing")
    assert len([path for path, _ in web.asked if path == "nothing/card.yaml"]) == 1
    web.statuses["secret/card.yaml"] = [403]
    with pytest.raises(SourceError, match="access is refused"):
        find_package(f"{web.url}/secret")


def test_a_source_without_an_index_says_so(web):
    (web.folder / "index.json").unlink()
    with pytest.raises(SourceError, match=r"index.json: there is nothing at this address"):
        sz.list_models()


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "s3://bucket/x", "data:,x"])
@pytest.mark.parametrize("path", ["index.json", MODEL])
def test_redirects_out_of_the_web_are_refused(web, tmp_path, path, target):
    web.redirects[path] = target
    with pytest.raises((PackageError, SourceError), match="points on to") as error:
        sz.pull(NAME)
    assert f"{target}, which is refused" in str(error.value)
    assert complete(tmp_path) == []


def test_redirects_within_the_web_are_followed(web):
    (web.folder / "elsewhere").write_bytes((web.folder / MODEL).read_bytes())
    web.redirects[MODEL] = "/elsewhere"
    assert sz.pull(NAME).verify() == []


def test_https_never_leads_to_http(web, tmp_path):
    """A server with a certificate of its own, which only the child process trusts."""
    certificate = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    environment = os.environ | {"SSL_CERT_FILE": str(certificate)}
    with Server(web.folder, context) as secure:
        code = f"import scbasset_zoo as sz; print(sz.pull('{secure.url}/lab/blood/1.0.0').card.id)"
        run = lambda: subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)  # noqa: E731
        assert run().stdout.strip() == NAME
        shutil.rmtree(tmp_path / "cache")
        secure.redirects[MODEL] = f"{web.url}/{MODEL}"
        assert "which is refused" in run().stderr
        assert complete(tmp_path) == []


def test_a_server_that_falls_silent_is_given_up(web, monkeypatch):
    monkeypatch.setattr(remote, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(remote, "ATTEMPTS", 2)
    _forget_connections()
    web.pause = 1.0
    with pytest.raises(SourceError, match="did not answer within"):
        find_package(f"{web.url}/lab/blood/1.0.0")
    _forget_connections()


def test_a_slow_server_is_waited_for(web):
    web.pause = 0.002
    assert sz.pull(NAME).verify() == []


def _forget_connections():
    from fsspec.implementations.http import HTTPFileSystem

    HTTPFileSystem.clear_instance_cache()


def test_offline_what_is_cached_works_and_what_is_not_says_so(original, tmp_path, settings, capsys):
    source = shutil.copytree(original, tmp_path / "source")
    with Server(source) as server:
        settings(server.url)
        folder = sz.pull(NAME).folder
        sz.publish(toy.toy_package(tmp_path / "newer", id=NAME, version="1.1.0").folder, source)
        sz.publish(toy.toy_package(tmp_path / "other", id="lab/brain").folder, source)
        assert len(sz.list_models()) == 3
        by_url = find_package(f"{server.url}/lab/blood/1.0.0")
    capsys.readouterr()
    assert find_package(NAME).folder == folder
    assert capsys.readouterr().err.count("going by what it was on") == 1
    assert find_package(f"{NAME}@1.0.0").folder == folder
    assert find_package(f"{server.url}/lab/blood/1.0.0") == by_url
    assert [(m.version, m.on_this_machine) for m in sz.list_models()] == [("1.0.0", True), ("1.1.0", False), ("1.0.0", False)]
    with pytest.raises(SourceError, match=r"lab/brain/1.0.0/card.yaml"):
        find_package("lab/brain")
    with pytest.raises(SourceError, match=r"lab/blood/1.1.0/card.yaml"):
        find_package(f"{NAME}@1.1.0")
    shutil.rmtree(tmp_path / "cache/fetched")
    assert find_package(NAME).folder == folder
    assert sz.pull(f"{NAME}@1.0.0").folder == folder
    assert "using version 1.0.0 from the cache" in capsys.readouterr().err
    _flip(folder / "model.onnx")
    with pytest.raises(PackageError, match=r"not the files that the card names: model.onnx"):
        sz.pull(NAME)
    with pytest.raises(SourceError, match="Could not look in bundled"):
        find_package("lab/brain")


@pytest.fixture
def impostor(web, tmp_path):
    """A package at a URL of no source whose card says the id and version of the source's model."""
    with Server(tmp_path / "impostor") as other:
        toy.toy_package(other.folder, id=NAME, n_cells=7)
        yield other


def test_what_was_opened_by_its_url_never_stands_for_a_name(web, impostor, tmp_path):
    assert find_package(impostor.url).card.cells.n_cells == 7
    assert complete(tmp_path) == []
    for name in (f"{NAME}@1.0.0", NAME):
        assert find_package(name).card.cells.n_cells == 50
    (web.folder / "index.json").write_text('{"models": []}')
    shutil.rmtree(tmp_path / "cache/models")
    for name in (f"{NAME}@1.0.0", NAME):
        with pytest.raises(InputError, match="There is no model"):
            find_package(name)


def test_a_name_means_what_the_first_source_says_whatever_another_left_in_the_cache(web, tmp_path, capsys):
    sz.publish(toy.toy_package(tmp_path / "toy", id=NAME, n_cells=7).folder, tmp_path / "second")
    with Server(tmp_path / "second") as second:
        locations = {"bundled": {"location": web.url}, "second": {"location": second.url}}
        (tmp_path / "zoo.yaml").write_text(yaml.safe_dump({"sources": locations}))
        web.statuses["index.json"] = [404]
        assert sz.pull(f"{NAME}@1.0.0").card.cells.n_cells == 7
        assert f"{NAME}@1.0.0 is taken from source second: bundled could not be looked in" in capsys.readouterr().err
        for name in (f"{NAME}@1.0.0", NAME):
            assert sz.pull(name).card.cells.n_cells == 50
        assert capsys.readouterr().err.count("could not be looked in") == 0
        assert len(complete(tmp_path)) == 2


def test_kipoi_lists_what_names_mean(web, impostor, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    registered_folder().mkdir(parents=True)
    listed = lambda: (registered_folder() / "lab/models.tsv").read_text()  # noqa: E731
    toy.toy_package(tmp_path / "cache/models/lab/blood/99.0.0-aaaaaaaaaaaa", id=NAME, version="99.0.0")
    refresh()
    assert "lab/blood@99.0.0" in listed()
    find_package(impostor.url)
    sz.pull(NAME)
    toy.toy_package(complete(tmp_path)[0] / "tests/more", id="lab/more")
    refresh()
    assert "lab/blood@1.0.0" in listed()
    assert "(50,)" in listed()
    assert len(listed().splitlines()) == 2


def test_eight_processes_pull_one_model_once(web, tmp_path):
    children = [subprocess.Popen([sys.executable, "-c", PULL], stdout=subprocess.PIPE, text=True) for _ in range(8)]
    folders = {child.communicate()[0].strip() for child in children}
    assert [child.returncode for child in children] == [0] * 8
    assert folders == {str(folder) for folder in complete(tmp_path)}
    assert web.sent[MODEL] == (web.folder / MODEL).stat().st_size
    assert Package.open(folders.pop()).verify() == []


def test_a_damaged_package_of_the_cache_is_pulled_again(web):
    (sz.pull(NAME).folder / "cells.parquet").write_bytes(b"")
    assert sz.pull(NAME).verify() == []


@pytest.mark.parametrize("file", ["model.onnx", "cells.parquet", "README.md"])
@pytest.mark.parametrize("name", [NAME, f"{NAME}@1.0.0", "URL/lab/blood/1.0.0", "lab/made"])
def test_pulling_again_heals_what_was_damaged_without_a_change_of_size(recipe, web, name, file, capsys):
    recipe()
    name = name.replace("URL", web.url)
    folder = sz.pull(name).folder
    _flip(folder / file)
    assert sz.pull(name).folder == folder
    assert f"{file} was damaged or changed" in capsys.readouterr().err
    assert Package.open(folder).verify() == []
    web.sent.clear()
    sz.pull(name)
    assert web.sent[MODEL] == web.sent["published.txt"] == 0


def test_a_damaged_package_that_cannot_be_pulled_again_is_not_left(web, tmp_path):
    _flip(sz.pull(NAME).folder / "model.onnx")
    web.statuses[MODEL] = [403]
    with pytest.raises(SourceError, match="access is refused"):
        sz.pull(NAME)
    assert complete(tmp_path) == []


def _flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def test_a_cache_that_is_no_folder_is_named_with_its_variable(web, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / place))
        with pytest.raises(InputError, match=rf"The cache {tmp_path / place} cannot be written: .*Set SCBASSET_ZOO_CACHE"):
            sz.pull(NAME)


def test_a_card_that_contradicts_the_index_stops_the_pull(web, tmp_path):
    path = web.folder / "index.json"
    fields = json.loads(path.read_text())
    fields["models"][0]["files"]["more.txt"] = {"bytes": 1, "sha256": "0" * 64}
    path.write_text(json.dumps(fields))
    with pytest.raises(PackageError, match="its card lists other files"):
        sz.pull(NAME)
    assert web.sent[MODEL] == 0
    assert complete(tmp_path) == []


def test_what_is_too_large_is_not_read_whole(web, monkeypatch):
    (web.folder / "big").mkdir()
    (web.folder / "big/card.yaml").write_bytes(b"#" * 5 * 2**20)
    with pytest.raises(PackageError, match="more than 4,194,304 bytes"):
        find_package(f"{web.url}/big")


def test_a_download_that_finds_no_room_does_not_begin(web, tmp_path):
    wanted = remote.Wanted(f"{web.url}/{MODEL}", tmp_path / "x", 10**18, "0" * 64)
    with pytest.raises(InputError, match="has room for"):
        remote.download_all([wanted], "x")
    assert web.asked == []


class Beside(BaseModel):
    """A nested option that holds a path, as one of two types."""

    batches: str | Path


class ToyImporter(Importer):
    """Reads a file `N_CELLS SEED` and makes a toy package of it."""

    name = "toy-import"

    class Options(BaseModel, extra="forbid"):
        widest: int = 8
        cells: Path | None = None
        tables: dict[str, list[FilePath]] = {}
        beside: Beside | None = Field(None, alias="others")

    def convert(self, source, options, *, out, about=None, overwrite=False):
        n_cells, seed = map(int, source.read_text().split())
        return toy.toy_package(out, n_cells, (options.widest,) * 8, seed=seed, overwrite=overwrite, **about)


@pytest.fixture
def recipe(web):
    """Function (**changes): put a recipe into the source and index it."""

    class Plugin:
        @hookimpl
        def register_importers(self):
            return [ToyImporter]

    (web.folder / "published.txt").write_text("5 3")
    digest = files.sha256(web.folder / "published.txt")

    def write(**changes):
        fields = {
            "importer": "toy-import",
            "source": {"url": f"{web.url}/published.txt", "sha256": digest, "bytes": 3},
            "options": {"widest": 4},
            "about": {"id": "lab/made", "version": "3.0.0", "description": "Made here.", "license": "MIT", "tags": ["made"]},
        } | changes
        (web.folder / "made").mkdir(exist_ok=True)
        (web.folder / "made/recipe.yaml").write_text(yaml.safe_dump(fields))
        build_index(web.folder)

    plugin_manager.register(Plugin(), "toy-plugin")
    yield write
    plugin_manager.unregister("toy-plugin")


def test_a_recipe_makes_its_model_on_this_machine(recipe, web, tmp_path):
    recipe()
    package = sz.pull("lab/made")
    assert package.verify() == []
    assert (package.card.id, package.card.version, package.card.tags) == ("lab/made", "3.0.0", ("made",))
    assert package.card.cells.n_cells == 5
    assert package.folder.parent == tmp_path / "cache/models/lab/made"
    web.asked.clear()
    assert sz.pull("lab/made@3.0.0").folder == package.folder
    assert web.asked == []
    assert [m.id for m in sz.list_models(tag="made")] == ["lab/made"]


def test_a_recipe_in_a_local_source_is_cooked_into_the_cache(recipe, web, settings, tmp_path):
    recipe(source={"url": f"{web.url}/published.txt", "md5": "bb37fc84f2c4cc01a9e1ce86eb21a35d"})
    settings(str(web.folder))
    with pytest.raises(PackageError, match="expected md5 bb37"):
        sz.pull("lab/made")
    recipe(source={"url": f"{web.url}/published.txt", "md5": _md5(web.folder / "published.txt")})
    assert sz.pull("lab/made").folder.is_relative_to(tmp_path / "cache")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"importer": "other"}, "needs the importer 'other'"),
        ({"options": {"colour": "red"}}, "does not take the recipe's options"),
        ({"options": {"widest": 4, "cells": "/etc/passwd"}}, "sets cells, which names a file of this machine"),
        ({"options": {"tables": {"a": ["/etc/passwd"]}}}, "sets tables, which names a file"),
        ({"options": {"others": {"batches": "/etc/passwd"}}}, "sets beside, which names a file"),
        ({"source": {"url": "URL/published.txt", "sha256": "0" * 64, "bytes": 3}}, "is not the file that was promised"),
        ({"source": {"url": "URL/gone.txt", "sha256": "0" * 64, "bytes": 3}}, "nothing at this address"),
    ],
)
def test_a_recipe_that_fails_leaves_nothing_visible(recipe, web, tmp_path, changes, message):
    if "source" in changes:
        changes = {"source": changes["source"] | {"url": changes["source"]["url"].replace("URL", web.url)}}
    recipe(**changes)
    with pytest.raises((PackageError, SourceError), match=message):
        sz.pull("lab/made")
    assert complete(tmp_path) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"url": "file:///etc/passwd", "sha256": "0" * 64}, "cannot be read"),
        ({"url": "/etc/passwd", "sha256": "0" * 64}, "cannot be read"),
        ({"url": "https://example.org/x"}, "give one of sha256 and md5"),
    ],
)
def test_a_recipe_that_leads_elsewhere_is_not_indexed(recipe, source, message):
    with pytest.raises(PackageError, match=message):
        recipe(source=source)


def test_a_recipe_with_a_key_given_twice_is_not_indexed(recipe, web):
    recipe()
    with (web.folder / "made/recipe.yaml").open("a") as file:
        file.write("importer: calico\n")
    with pytest.raises(PackageError, match=r"recipe.yaml, line \d+: the key 'importer' is given twice"):
        build_index(web.folder)


def test_a_recipe_changed_after_indexing_is_not_cooked(recipe, web):
    recipe()
    with (web.folder / "made/recipe.yaml").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(PackageError, match="is not the recipe that the index names"):
        sz.pull("lab/made")


def _md5(path):
    return subprocess.run(["md5sum", path], capture_output=True, text=True, check=True).stdout.split()[0]


def _certificate(folder):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
