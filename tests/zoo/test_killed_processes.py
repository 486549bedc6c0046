"""Pull, publish and index are killed at random moments: no incomplete package is visible, and the next run goes on."""

import random
import shutil
import subprocess
import sys
import time

import boto3
import pytest
import yaml
from helpers import toy
from helpers.zoo_server import Server
from moto.server import ThreadedMotoServer

import scbasset_zoo as sz
from scbasset_zoo.errors import SourceError
from scbasset_zoo.package.verifying import verify_package
from scbasset_zoo.zoo.index import Index
from scbasset_zoo.zoo.indexing import build_index
from scbasset_zoo.zoo.models import find_package

pytestmark = pytest.mark.slow
KILLS = 20
NAME = "lab/blood"


def killed(code, moments, *, prepare="", check, again=lambda: None):
    """Run `code` in children that are killed after `moments` seconds each; `check` after each, then `again` if it had finished.

    Returns how many had not finished.
    """
    lines = (
        "import scbasset_zoo as sz",
        "from scbasset_zoo.zoo.indexing import build_index",
        "from scbasset_zoo.zoo.models import find_package",
        prepare,
    )
    script = "\n".join([*lines, "print('ready', flush=True)", code, "print('done', flush=True)"])
    count = 0
    for moment in moments:
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "ready\n", child.stderr.read()
        time.sleep(moment)
        child.kill()
        output, errors = child.communicate()
        assert child.returncode in (0, -9), errors
        check()
        if "done" in output:
            again()
        else:
            count += 1
    return count


def unless_missing(call):
    """Return what `call` returns, or None if there is nothing at the address that it reads."""
    try:
        return call()
    except SourceError as error:
        if "nothing at this address" not in str(error):
            raise
        return None


def moments(longest, n=KILLS):
    draw = random.Random(n)
    return [draw.uniform(0, longest) for _ in range(n)]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return [toy.toy_package(folder / str(i), id=NAME, version=f"1.{i}.0", widths=(24,) * 8, n_cells=40).folder for i in range(3)]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Function (location): make it the only source, with an empty cache."""
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SCBASSET_ZOO_CONFIG", str(tmp_path / "zoo.yaml"))
    return lambda place: (tmp_path / "zoo.yaml").write_text(yaml.safe_dump({"sources": {"bundled": {"location": str(place)}}}))


def test_a_killed_pull_shows_nothing_or_all(packages, tmp_path, settings):
    sz.publish(packages[0], tmp_path / "source")
    models = tmp_path / "cache/models"

    def check():
        for card in models.rglob("card.yaml"):
            assert verify_package(card.parent) == []

    with Server(tmp_path / "source") as server:
        server.pause = 0.002
        settings(server.url)
        count = killed(
            f"sz.pull({NAME!r})", moments(1.2), prepare="import aiohttp", check=check, again=lambda: shutil.rmtree(models)
        )
        assert count > KILLS / 3
        assert sz.pull(NAME).verify() == []
    assert list((tmp_path / "cache/partial").iterdir()) == []


def test_a_killed_publish_shows_nothing_or_all(packages, tmp_path, settings):
    source = tmp_path / "source"
    settings(source)

    def check():
        listed = Index.parse((source / "index.json").read_bytes(), "index") if (source / "index.json").exists() else Index()
        visible = list((source / NAME).glob("[!.]*"))
        assert {source / entry.path for entry in listed.models} <= set(visible)
        for folder in visible:
            assert verify_package(folder) == []

    publish = "\n".join(f"sz.publish({str(package)!r}, {str(source)!r})" for package in packages)
    warm = f"sz.publish({str(packages[0])!r}, {str(tmp_path)!r} + '/warm')"
    # The duration differs between machines, so it is measured, and the moments are drawn from it.
    sz.publish(packages[0], tmp_path / "first")
    began = time.perf_counter()
    for package in packages:
        sz.publish(package, tmp_path / "timed")
    longest = time.perf_counter() - began
    count = killed(publish, moments(longest), prepare=warm, check=check, again=lambda: shutil.rmtree(source))
    assert count > KILLS / 3
    for package in packages:
        sz.publish(package, source)
    check()
    assert [m.version for m in sz.list_models()] == ["1.0.0", "1.1.0", "1.2.0"]
    assert [path for path in source.rglob(".*") if "partial" in path.name] == []


def test_a_killed_publish_to_a_store_lists_nothing_or_all(packages, tmp_path, settings, monkeypatch):
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="models")
    settings("s3://models/zoo")

    def check():
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        listed = [model.version for model in unless_missing(sz.list_models) or []]
        for version in listed:
            assert sz.pull(f"{NAME}@{version}").verify() == []
        for version in ("1.0.0", "1.1.0", "1.2.0"):
            package = unless_missing(lambda version=version: find_package(f"s3://models/zoo/{NAME}/{version}"))
            assert package is not None or version not in listed
            assert package is None or package.verify() == []

    publish = "\n".join(f"sz.publish({str(package)!r}, 's3://models/zoo')" for package in packages)
    warm = f"sz.publish({str(packages[0])!r}, {str(tmp_path)!r} + '/warm')"
    try:
        assert killed(publish, moments(1.0, 10), prepare=warm, check=check) > 3
        for package in packages:
            sz.publish(package, "s3://models/zoo")
        check()
    finally:
        server.stop()


def test_a_killed_index_leaves_the_old_or_the_new(packages, tmp_path):
    source, empty = tmp_path / "source", tmp_path / "empty"
    empty.mkdir()
    for number, package in enumerate(packages):
        shutil.copytree(package, source / str(number))
    build_index(source)
    whole = (source / "index.json").read_bytes()
    shutil.move(source / "2", tmp_path / "2")
    build_index(source)
    fewer = (source / "index.json").read_bytes()
    shutil.move(tmp_path / "2", source / "2")
    seen = set()

    def check():
        raw = (source / "index.json").read_bytes()
        assert raw in (whole, fewer)
        seen.add(raw)
        (source / "index.json").write_bytes(fewer)

    code = f"for _ in range(20): build_index({str(source)!r})"
    count = killed(code, moments(0.3), prepare=f"build_index({str(empty)!r})", check=check)
    assert count > KILLS / 4
    assert whole in seen
    build_index(source)
    assert (source / "index.json").read_bytes() == whole
    assert list(source.glob(".partial*")) == []
