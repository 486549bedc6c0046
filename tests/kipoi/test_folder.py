"""The source folder for Kipoi lists the models on this machine."""

import json
import os

import pandas as pd
import pytest
import yaml
from helpers.kipoi_command import GROUP
from helpers.toy import toy_package
from helpers.zoo_fixtures import NAME, cached_folders

import scbasset_zoo as sz
from scbasset_zoo.kipoi.folder import newest, refresh, registered_folder, write_models
from scbasset_zoo.zoo.bundled import bundled_folder
from scbasset_zoo.zoo.indexing import build_index
from scbasset_zoo.zoo.models import find_package


def test_refresh_lists_local_sources_and_the_cache(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    refresh()
    assert not registered_folder().exists()
    registered_folder().mkdir(parents=True)
    toy_package(tmp_path / "local/single", id="single")
    build_index(tmp_path / "local")
    (tmp_path / "zoo.yaml").write_text("sources: {mine: {location: local}, gone: {location: nowhere}}")
    monkeypatch.setenv("SCBASSET_ZOO_CONFIG", str(tmp_path / "zoo.yaml"))
    refresh()
    assert "gone is left out" in capsys.readouterr().err
    assert '"single"' in (registered_folder() / "zoo/models.tsv").read_text()
    toy_package(tmp_path / "cache/models/lab/toy/1.10.0-aaaaaaaaaaaa", id="lab/toy", version="1.10.0")
    toy_package(tmp_path / "cache/models/lab/toy/1.9.0-bbbbbbbbbbbb", id="lab/toy", version="1.9.0")
    refresh()
    assert "lab/toy@1.10.0" in (registered_folder() / "lab/models.tsv").read_text()
    assert "1.9.0" not in (registered_folder() / "lab/models.tsv").read_text()


def test_a_recipe_is_listed_and_a_broken_card_is_reported(tmp_path, capsys):
    (tmp_path / "soon").mkdir()
    (tmp_path / "soon/recipe.yaml").write_text(
        "importer: calico\nsource: {url: 'https://example.org/weights.h5', md5: " + "a" * 32 + "}\n"
        "about: {id: lab/soon, version: 2.0.0, description: Made at first use., license: CC0-1.0}\n"
    )
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/card.yaml").write_text("id: lab/broken\n")
    write_models(tmp_path)
    assert "broken" in capsys.readouterr().err
    (row,) = pd.read_csv(tmp_path / "models.tsv", sep="\t", comment="#").to_dict("records")
    assert (row["model"], json.loads(row["open_as"])) == ("soon", "lab/soon@2.0.0")


def test_the_folder_lists_the_models_that_names_mean(web, impostor, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    registered_folder().mkdir(parents=True)
    listed = lambda: (registered_folder() / "lab/models.tsv").read_text()  # noqa: E731
    toy_package(tmp_path / "cache/models/lab/blood/99.0.0-aaaaaaaaaaaa", id=NAME, version="99.0.0")
    refresh()
    assert "lab/blood@99.0.0" in listed()
    find_package(impostor.url)
    sz.pull(NAME)
    toy_package(cached_folders(tmp_path)[0] / "tests/more", id="lab/more")
    refresh()
    assert "lab/blood@1.0.0" in listed()
    assert "(50,)" in listed()
    assert len(listed().splitlines()) == 2


def test_the_committed_files_agree_with_the_models(demo, tmp_path):
    """When this fails: python -c "from scbasset_zoo.kipoi.folder import *; write_models(bundled_folder() / 'scbasset')"."""
    listed = pd.read_csv(GROUP / "models.tsv", sep="\t", comment="#")["open_as"].map(json.loads)
    on_disk = newest([*GROUP.rglob("card.yaml"), *GROUP.rglob("recipe.yaml")])
    assert demo.card.id in [fields.id for fields in on_disk]
    assert list(listed) == [f"{fields.id}@{fields.version}" for fields in on_disk]
    default = (GROUP / "model.yaml").read_text()
    assert f"version: {demo.card.version}\n" in default
    assert f"shape: ({demo.card.cells.n_cells},)\n" in default
    assert demo.verify() == []
    assert sum(path.stat().st_size for path in bundled_folder().rglob("*") if path.is_file()) < 3e6


RECIPE = {
    "importer": "calico",
    "source": {"url": "https://example.org/weights.h5", "md5": "a" * 32},
    "about": {"id": "lab/soon", "version": "2.0.0", "description": "Made at first use.", "license": "CC0-1.0"},
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cells", {"n_cells": "__import__('os').mkdir('EVALUATED') or 5"}),
        ("cells", {"n_cells": [1]}),
        ("cells", 5),
        ("authors", 5),
        ("authors", ["A. Author"]),
        ("data", ["x"]),
        ("citation", {"text": "x"}),
        ("citation", [{"doi": "javascript:x"}]),
    ],
)
def test_a_recipe_puts_nothing_into_the_table_that_kipoi_evaluates(tmp_path, capsys, field, value):
    """Kipoi evaluates the shape of the targets as Python, and a recipe may give any fields for the card."""
    (tmp_path / "soon").mkdir()
    recipe = RECIPE | {"about": RECIPE["about"] | {field: value}}
    (tmp_path / "soon/recipe.yaml").write_text(yaml.safe_dump(recipe))
    write_models(tmp_path)
    assert "recipe.yaml is left out of Kipoi's models" in capsys.readouterr().err
    assert "soon" not in (tmp_path / "models.tsv").read_text()


def test_the_table_has_no_letters_that_deceive(tmp_path):
    (tmp_path / "soon").mkdir()
    extra = {"description": "a\u200bb", "authors": [{"name": "c\ufe0fd"}], "citation": [{"text": "e\u2028f"}]}
    (tmp_path / "soon/recipe.yaml").write_text(yaml.safe_dump(RECIPE | {"about": RECIPE["about"] | extra}))
    write_models(tmp_path)
    table = (tmp_path / "models.tsv").read_text()
    assert not set("\u200b\ufe0f\u2028") & set(table)
    assert "soon" in table


@pytest.mark.parametrize("kind", ["pipe", "link", "large"])
def test_a_recipe_that_is_no_plain_small_file_is_left_out(tmp_path, capsys, kind):
    (tmp_path / "soon").mkdir()
    path = tmp_path / "soon/recipe.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        (tmp_path / "other").write_text(yaml.safe_dump(RECIPE))
        path.symlink_to(tmp_path / "other")
    else:
        path.write_text(yaml.safe_dump(RECIPE) + "#" * 2**20)
    write_models(tmp_path)
    assert "left out of Kipoi's models" in capsys.readouterr().err
