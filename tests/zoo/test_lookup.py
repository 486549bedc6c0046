"""Names of models: which source and version a name means, also without a network."""

from __future__ import annotations

import shutil

import pytest
from helpers import toy
from helpers.zoo_fixtures import NAME, cached_folders, flip_byte
from helpers.zoo_server import Server

import scbasset_zoo as sz
from scbasset_zoo.errors import InputError, PackageError, SourceError
from scbasset_zoo.zoo.models import find_package


def test_a_name_means_the_newest_version_or_the_given_one(lab):
    assert find_package("lab/blood").card.version == "0.10.0"
    assert find_package("lab/blood@0.9.0").card.version == "0.9.0"
    assert find_package("lab/brain").folder == lab / "models/brain"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lab/blod", "Did you mean lab/blood"),
        ("blood", "Did you mean lab/blood"),
        ("lab/blood@0.1.0", "Its versions are 0.9.0, 0.10.0"),
        ("nothing-like-it", "Sources that were read: bundled"),
        ("a b", "is not the name of a model"),
        ("file:///etc/passwd", "cannot be read; an address begins with https://"),
        ("ftp://example.org/x", "cannot be read"),
        ("https://example.org/x?token=1", "ends in a query"),
    ],
)
def test_errors_for_unknown_names_list_what_exists(lab, name, message):
    with pytest.raises(InputError, match=message):
        find_package(name)


def test_offline_cached_models_open_and_others_are_errors(published, tmp_path, configure, capsys):
    source = shutil.copytree(published, tmp_path / "source")
    with Server(source) as server:
        configure(bundled=server.url)
        folder = sz.pull(NAME).folder
        sz.publish(toy.toy_package(tmp_path / "newer", id=NAME, version="1.1.0").folder, source)
        sz.publish(toy.toy_package(tmp_path / "other", id="lab/brain").folder, source)
        assert len(sz.list_models()) == 3
        by_url = find_package(f"{server.url}/lab/blood/1.0.0")
    capsys.readouterr()
    assert find_package(NAME).folder == folder
    assert capsys.readouterr().err.count("using the copy of") == 1
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
    flip_byte(folder / "model.onnx")
    with pytest.raises(PackageError, match=r"not the files that the card describes: model.onnx"):
        sz.pull(NAME)
    with pytest.raises(SourceError, match="Source bundled could not be read"):
        find_package("lab/brain")


def test_a_package_opened_by_url_is_never_used_for_a_name(web, impostor, tmp_path):
    assert find_package(impostor.url).card.cells.n_cells == 7
    assert cached_folders(tmp_path) == []
    for name in (f"{NAME}@1.0.0", NAME):
        assert find_package(name).card.cells.n_cells == 50
    (web.folder / "index.json").write_text('{"models": []}')
    shutil.rmtree(tmp_path / "cache/models")
    for name in (f"{NAME}@1.0.0", NAME):
        with pytest.raises(InputError, match="There is no model"):
            find_package(name)


def test_a_name_means_the_model_of_the_first_source_whatever_is_in_the_cache(web, configure, tmp_path, capsys):
    sz.publish(toy.toy_package(tmp_path / "toy", id=NAME, n_cells=7).folder, tmp_path / "second")
    with Server(tmp_path / "second") as second:
        configure(bundled=web.url, second=second.url)
        web.statuses["index.json"] = [404]
        assert sz.pull(f"{NAME}@1.0.0").card.cells.n_cells == 7
        assert f"{NAME}@1.0.0 is taken from source second: bundled could not be read" in capsys.readouterr().err
        for name in (f"{NAME}@1.0.0", NAME):
            assert sz.pull(name).card.cells.n_cells == 50
        assert capsys.readouterr().err.count("could not be read") == 0
        assert len(cached_folders(tmp_path)) == 2
