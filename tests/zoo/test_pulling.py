"""From an index entry to a package: local sources, downloads, and repair of the cache."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers import toy
from helpers.rounding import ROUNDING
from helpers.zoo_fixtures import MODEL, NAME, cached_folders, flip_byte

import scbasset_zoo as sz
from scbasset_zoo import files
from scbasset_zoo.errors import PackageError, SourceError
from scbasset_zoo.package.reading import Package
from scbasset_zoo.zoo.models import find_package

PULL = f"import scbasset_zoo as sz; print(sz.pull('{NAME}').folder)"


def test_packages_behind_symbolic_links_are_refused(lab, tmp_path):
    (lab / "models").rename(tmp_path / "outside")
    (lab / "models").symlink_to(tmp_path / "outside")
    with pytest.raises(PackageError, match="models is a symbolic link"):
        find_package("lab/blood")


def test_a_local_package_that_changed_after_indexing_is_not_opened(lab, packages):
    shutil.rmtree(lab / "models/new")
    shutil.copytree(packages["old"], lab / "models/new")
    with pytest.raises(PackageError, match=r"card.yaml changed after .*index.json was written"):
        find_package("lab/blood")
    flip_byte(lab / "models/brain/cells.parquet")
    find_package("lab/brain")
    with pytest.raises(PackageError, match=r"cells.parquet changed after"):
        sz.pull("lab/brain")


def test_a_model_is_pulled_on_first_use_and_predicts_as_its_original(web, tmp_path):
    sequences = toy.random_sequences(3)
    expected = sz.open_model(web.folder / "lab/blood/1.0.0", "cpu").embed(sequences)
    np.testing.assert_allclose(sz.open_model(NAME, "cpu").embed(sequences), expected, atol=ROUNDING)
    assert web.sent[MODEL] == (web.folder / MODEL).stat().st_size
    digest = files.sha256(web.folder / "lab/blood/1.0.0/card.yaml")
    assert cached_folders(tmp_path) == [tmp_path / f"cache/models/lab/blood/1.0.0-{digest[:12]}"]
    by_url = find_package(f"{web.url}/lab/blood/1.0.0/")
    assert by_url.folder == tmp_path / f"cache/urls/{digest}"
    assert by_url.verify() == []


def test_a_cached_version_is_opened_without_the_network(web):
    sz.pull(NAME)
    web.requests.clear()
    find_package(f"{NAME}@1.0.0")
    assert web.requests == []
    find_package(NAME)
    assert web.requests == [("index.json", 0)]


def test_eight_processes_pull_one_model_once(web, tmp_path):
    children = [subprocess.Popen([sys.executable, "-c", PULL], stdout=subprocess.PIPE, text=True) for _ in range(8)]
    folders = {child.communicate()[0].strip() for child in children}
    assert [child.returncode for child in children] == [0] * 8
    assert folders == {str(folder) for folder in cached_folders(tmp_path)}
    assert web.sent[MODEL] == (web.folder / MODEL).stat().st_size
    assert Package.open(folders.pop()).verify() == []


def test_a_damaged_package_of_the_cache_is_pulled_again(web):
    (sz.pull(NAME).folder / "cells.parquet").write_bytes(b"")
    assert sz.pull(NAME).verify() == []


@pytest.mark.parametrize("file", ["model.onnx", "cells.parquet", "README.md"])
@pytest.mark.parametrize("name", [NAME, f"{NAME}@1.0.0", "URL/lab/blood/1.0.0", "lab/made"])
def test_pulling_again_replaces_a_package_damaged_without_a_change_of_size(recipe, web, name, file, capsys):
    recipe()
    name = name.replace("URL", web.url)
    folder = sz.pull(name).folder
    flip_byte(folder / file)
    assert sz.pull(name).folder == folder
    assert f"{file} was damaged or changed" in capsys.readouterr().err
    assert Package.open(folder).verify() == []
    web.sent.clear()
    sz.pull(name)
    assert web.sent[MODEL] == web.sent["published.txt"] == 0


def test_a_damaged_package_that_cannot_be_pulled_again_is_removed(web, tmp_path):
    flip_byte(sz.pull(NAME).folder / "model.onnx")
    web.statuses[MODEL] = [403]
    with pytest.raises(SourceError, match="access is refused"):
        sz.pull(NAME)
    assert cached_folders(tmp_path) == []


def test_a_card_that_contradicts_the_index_stops_the_pull(web, tmp_path):
    path = web.folder / "index.json"
    fields = json.loads(path.read_text())
    fields["models"][0]["files"]["more.txt"] = {"bytes": 1, "sha256": "0" * 64}
    path.write_text(json.dumps(fields))
    with pytest.raises(PackageError, match="its card lists other files"):
        sz.pull(NAME)
    assert web.sent[MODEL] == 0
    assert cached_folders(tmp_path) == []
