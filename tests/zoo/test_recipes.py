"""Recipes: models that are made on this machine from a published file."""

from __future__ import annotations

import subprocess

import pytest
from helpers.zoo_fixtures import cached_folders

import scbasset_zoo as sz
from scbasset_zoo.errors import PackageError, SourceError
from scbasset_zoo.zoo.indexing import build_index


def test_a_recipe_makes_its_model_on_this_machine(recipe, web, tmp_path):
    recipe()
    package = sz.pull("lab/made")
    assert package.verify() == []
    assert (package.card.id, package.card.version, package.card.tags) == ("lab/made", "3.0.0", ("made",))
    assert package.card.cells.n_cells == 5
    assert package.folder.parent == tmp_path / "cache/models/lab/made"
    web.requests.clear()
    assert sz.pull("lab/made@3.0.0").folder == package.folder
    assert web.requests == []
    assert [m.id for m in sz.list_models(tag="made")] == ["lab/made"]


def test_a_recipe_in_a_local_source_is_made_in_the_cache(recipe, web, configure, tmp_path):
    recipe(source={"url": f"{web.url}/published.txt", "md5": "bb37fc84f2c4cc01a9e1ce86eb21a35d"})
    configure(bundled=web.folder)
    with pytest.raises(PackageError, match="expected md5 bb37"):
        sz.pull("lab/made")
    recipe(source={"url": f"{web.url}/published.txt", "md5": _md5(web.folder / "published.txt")})
    assert sz.pull("lab/made").folder.is_relative_to(tmp_path / "cache")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"importer": "other"}, "needs the importer 'other'"),
        ({"options": {"colour": "red"}}, "does not accept the recipe's options"),
        ({"options": {"widest": 4, "cells": "/etc/passwd"}}, "sets cells, which is a path on your machine"),
        ({"options": {"tables": {"a": ["/etc/passwd"]}}}, "sets tables, which is a path"),
        ({"options": {"others": {"batches": "/etc/passwd"}}}, "sets beside, which is a path"),
        ({"source": {"url": "URL/published.txt", "sha256": "0" * 64, "bytes": 3}}, "does not have the expected hash"),
        ({"source": {"url": "URL/gone.txt", "sha256": "0" * 64, "bytes": 3}}, "nothing at this address"),
    ],
)
def test_a_recipe_that_fails_leaves_nothing_visible(recipe, web, tmp_path, changes, message):
    if "source" in changes:
        changes = {"source": changes["source"] | {"url": changes["source"]["url"].replace("URL", web.url)}}
    recipe(**changes)
    with pytest.raises((PackageError, SourceError), match=message):
        sz.pull("lab/made")
    assert cached_folders(tmp_path) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"url": "file:///etc/passwd", "sha256": "0" * 64}, "cannot be read"),
        ({"url": "/etc/passwd", "sha256": "0" * 64}, "cannot be read"),
        ({"url": "https://example.org/x"}, "give one of sha256 and md5"),
    ],
)
def test_a_recipe_with_a_wrong_source_is_not_indexed(recipe, source, message):
    with pytest.raises(PackageError, match=message):
        recipe(source=source)


def test_a_recipe_with_a_key_given_twice_is_not_indexed(recipe, web):
    recipe()
    with (web.folder / "made/recipe.yaml").open("a") as file:
        file.write("importer: calico\n")
    with pytest.raises(PackageError, match=r"recipe.yaml, line \d+: the key 'importer' is given twice"):
        build_index(web.folder)


def test_a_recipe_changed_after_indexing_is_not_used(recipe, web):
    recipe()
    with (web.folder / "made/recipe.yaml").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(PackageError, match="does not have the SHA-256 in the index"):
        sz.pull("lab/made")


def _md5(path):
    return subprocess.run(["md5sum", path], capture_output=True, text=True, check=True).stdout.split()[0]
