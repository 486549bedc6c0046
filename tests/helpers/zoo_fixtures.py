"""Fixtures for tests of the zoo: sources in folders and on a web server, and settings that name them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, Field, FilePath

import scbasset_zoo as sz
from helpers import toy
from helpers.zoo_server import Server
from scbasset_zoo import Importer, files, hookimpl, plugin_manager
from scbasset_zoo.zoo import remote
from scbasset_zoo.zoo.indexing import build_index

NAME = "lab/blood"
MODEL = "lab/blood/1.0.0/model.onnx"


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """Three packages: two versions of a blood model, and a brain model of another assembly."""
    folder = tmp_path_factory.mktemp("packages")
    genome = toy.toy_card()["genome"] | {"assembly": "toy2"}
    return {
        "old": toy.toy_package(folder / "old", id=NAME, version="0.9.0", tags=["blood"], seed=1).folder,
        "new": toy.toy_package(folder / "new", id=NAME, version="0.10.0", tags=["blood"], seed=2).folder,
        "brain": toy.toy_package(folder / "brain", id="lab/brain", version="1.0.0", genome=genome, license="MIT").folder,
    }


@pytest.fixture
def configure(tmp_path, monkeypatch):
    """Function (**locations) that writes zoo.yaml. The cache is empty.

    A source named `bundled` replaces the one that comes with the project.
    """
    path = tmp_path / "config/zoo.yaml"
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SCBASSET_ZOO_CONFIG", str(path))
    # Failed connections are tried again at once.
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.01)

    def write(**locations):
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({"sources": {name: {"location": str(where)} for name, where in locations.items()}}))

    return write


@pytest.fixture
def lab(packages, tmp_path, configure):
    """A local source, `bundled`, with all packages, indexed."""
    folder = tmp_path / "lab"
    for name, package in packages.items():
        shutil.copytree(package, folder / "models" / name)
    build_index(folder)
    configure(bundled=folder)
    return folder


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A source with one package, whose network has about 300 kB."""
    folder = tmp_path_factory.mktemp("web")
    package = toy.toy_package(folder / "package", id=NAME, widths=(32,) * 8, n_cells=50).folder
    sz.publish(package, folder / "source")
    return folder / "source"


@pytest.fixture
def web(published, tmp_path, configure):
    """The server of a copy of that source, which is the only source."""
    with Server(shutil.copytree(published, tmp_path / "source")) as server:
        configure(bundled=server.url)
        yield server


@pytest.fixture
def impostor(web, tmp_path):
    """The server of a package whose card has the id and version of the source's model. No source lists it."""
    with Server(tmp_path / "impostor") as server:
        toy.toy_package(server.folder, id=NAME, n_cells=7)
        yield server


@pytest.fixture
def recipe(web):
    """Function (**changes) that writes a recipe into the folder of the web source and indexes it."""

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


def cached_folders(tmp_path):
    """Return the folders of the cache in which a package is visible."""
    return sorted(path.parent for path in (tmp_path / "cache/models").rglob("card.yaml"))


def flip_byte(path):
    """Change one bit in the middle of a file."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


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
