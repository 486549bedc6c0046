"""Publishing packages to local folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers import toy
from helpers.zoo_fixtures import flip_byte
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.main import app
from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.package.reading import Package
from scbasset_zoo.zoo.indexing import build_index
from scbasset_zoo.zoo.models import find_package


def test_published_models_open_by_name(packages, tmp_path, configure):
    source = tmp_path / "source"
    for package in packages.values():
        sz.publish(package, source)
    published = (source / "index.json").read_bytes()
    build_index(source)
    assert (source / "index.json").read_bytes() == published
    configure(bundled=source)
    assert find_package("lab/blood").folder == source / "lab/blood/0.10.0"
    assert sz.pull("lab/blood@0.9.0").verify() == []


def test_a_published_version_never_changes(packages, tmp_path, capsys):
    source = tmp_path / "source"
    sz.publish(packages["new"], source)
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    sz.publish(packages["new"], source)
    assert "with the same content; nothing to do" in capsys.readouterr().err
    other = toy.toy_package(tmp_path / "other", id="lab/blood", version="0.10.0", seed=9).folder
    with pytest.raises(PackageError, match="a published version never changes"):
        sz.publish(other, source)
    (source / "index.json").unlink()
    with pytest.raises(PackageError, match="a published version never changes"):
        sz.publish(other, source)
    sz.publish(packages["new"], source)
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


def test_a_package_with_findings_is_not_published(packages, tmp_path):
    broken = shutil.copytree(packages["new"], tmp_path / "broken")
    flip_byte(broken / "model.onnx")
    (broken / "notes.txt").write_text("x")
    with pytest.raises(PackageError, match="was not published") as error:
        sz.publish(broken, tmp_path / "source")
    assert "model.onnx: SHA-256" in str(error.value)
    assert "notes.txt: is not listed" in str(error.value)
    assert not (tmp_path / "source").exists()


def test_destinations_that_cannot_be_written_are_refused(packages, lab, tmp_path):
    for place in ("https://example.org/zoo", "http://example.org/zoo"):
        with pytest.raises(InputError, match="published to local folders, s3:// and hf://"):
            sz.publish(packages["new"], place)
    with pytest.raises(InputError, match="cannot be read"):
        sz.publish(packages["new"], "gs://bucket/zoo")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        sz.publish(packages["new"], tmp_path / "file/zoo")


def test_a_name_without_a_slash_is_a_source_or_an_existing_folder(packages, lab, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for word in ("nosuchsource", "bundeled"):
        with pytest.raises(InputError, match=rf"no source '{word}'(?s:.)*Sources: bundled. Give ./{word} to make a folder"):
            sz.publish(packages["new"], word)
        assert not (tmp_path / word).exists()
    done = CliRunner().invoke(app, ["publish", str(packages["new"]), "./source"])
    assert done.exit_code == 0
    sz.publish(packages["old"], "source")
    (tmp_path / "word").mkdir()
    sz.publish(packages["old"], Path("word"))
    sz.publish(packages["old"], Path("made"))
    for folder in ("source", "word", "made"):
        assert (tmp_path / folder / "lab/blood/0.9.0/card.yaml").is_file()
    (tmp_path / "bundled").mkdir()
    capsys.readouterr()
    sz.publish(packages["old"], "bundled")
    assert f"bundled is the source at {lab}; to publish to the folder of that name, give ./bundled" in capsys.readouterr().err
    assert list((tmp_path / "bundled").iterdir()) == []


def test_a_package_is_not_published_into_itself(packages, tmp_path, monkeypatch, configure):
    package = shutil.copytree(packages["new"], tmp_path / "package")
    (tmp_path / "link").symlink_to(package)
    configure(mine=package / "zoo")
    monkeypatch.chdir(package)
    for place in (package, package / "zoo", ".", "./zoo", "../link/zoo", "tests", "mine"):
        with pytest.raises(InputError, match="is inside the package"):
            sz.publish(package, place)
    assert Package.open(package).verify() == []


def test_an_id_inside_another_models_version_is_not_published(tmp_path):
    package = toy.toy_package(tmp_path / "p", id="lab/blood/0.10.0").folder
    with pytest.raises(PackageError, match="looks like a version"):
        sz.publish(package, tmp_path / "source")
    assert not (tmp_path / "source").exists()


@pytest.mark.parametrize("model_id", ["lab/recipe.yaml", "Lab/brain", "lab/brain"])
def test_an_index_is_not_written_without_one_of_its_entries(packages, lab, tmp_path, model_id):
    index = lab / "index.json"
    fields = json.loads(index.read_text())
    fields["models"].append(fields["models"][0] | {"id": model_id, "version": "7.0.0"})
    index.write_text(json.dumps(fields))
    package = toy.toy_package(tmp_path / "p", id="lab/other").folder
    before = index.read_bytes()
    if model_id == "lab/brain":
        sz.publish(package, lab)
        assert len(json.loads(index.read_text())["models"]) == len(fields["models"]) + 1
        return
    with pytest.raises(PackageError, match=f"index.json was not written(?s:.)*{model_id}"):
        sz.publish(package, lab)
    assert index.read_bytes() == before
    assert not (lab / "lab/other").exists()


@pytest.mark.parametrize("way", ["publish", "index"])
def test_ids_that_differ_in_upper_and_lower_case_only_get_no_index(packages, tmp_path, way):
    source = tmp_path / "source"
    sz.publish(packages["new"], source)
    before = (source / "index.json").read_bytes()
    other = toy.toy_package(tmp_path / "p", id="lab/BLOOD").folder
    if way == "index":
        shutil.copytree(other, source / "other")
    write = {"publish": lambda: sz.publish(other, source), "index": lambda: build_index(source)}[way]
    with pytest.raises(PackageError, match="differ in upper and lower case only"):
        write()
    assert (source / "index.json").read_bytes() == before
