"""The zoo on this machine: indexes, names, zoo.yaml, publishing to folders, and packages that lead elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers import toy
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo import files
from scbasset_zoo.cli.main import app
from scbasset_zoo.errors import InputError, PackageError, SourceError
from scbasset_zoo.package.reading import Package
from scbasset_zoo.zoo.index import Index, build_index, version_order
from scbasset_zoo.zoo.models import find_package, list_models, search_models


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Three packages: two versions of a blood model, and a brain model of another assembly."""
    folder = tmp_path_factory.mktemp("made")
    genome = toy.toy_card()["genome"] | {"assembly": "toy2"}
    return {
        "old": toy.toy_package(folder / "old", id="lab/blood", version="0.9.0", tags=["blood"], seed=1).folder,
        "new": toy.toy_package(folder / "new", id="lab/blood", version="0.10.0", tags=["blood"], seed=2).folder,
        "brain": toy.toy_package(folder / "brain", id="lab/brain", version="1.0.0", genome=genome, license="MIT").folder,
    }


@pytest.fixture
def configure(tmp_path, monkeypatch):
    """Function (**sources): write zoo.yaml; the cache is empty, and no source of the project itself gets in the way."""
    path = tmp_path / "config/zoo.yaml"
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SCBASSET_ZOO_CONFIG", str(path))

    def write(**sources):
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({"sources": {name: {"location": str(place)} for name, place in sources.items()}}))

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


def command(*arguments):
    """Run as the console script does: errors that the user can mend end in exit code 1 and their text."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done, str(done.exception) if done.exception else ""


def test_an_index_holds_the_true_size_and_hash_of_every_file(lab, packages):
    written = json.loads((lab / "index.json").read_text())
    assert written["schema_version"] == "1.0"
    assert [(m["id"], m["version"]) for m in written["models"]] == [
        ("lab/blood", "0.9.0"),
        ("lab/blood", "0.10.0"),
        ("lab/brain", "1.0.0"),
    ]
    for model in written["models"]:
        folder = lab / model["path"]
        there = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        assert model["files"] == {name: {"bytes": p.stat().st_size, "sha256": files.sha256(p)} for name, p in there.items()}
        assert model["card_sha256"] == files.sha256(folder / "card.yaml")
    assert written["models"][2]["assembly"] == "toy2"
    assert written["models"][0]["tags"] == ["blood"]


def test_indexing_twice_changes_nothing(lab):
    first = (lab / "index.json").read_bytes()
    build_index(lab)
    assert (lab / "index.json").read_bytes() == first


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda lab: (lab / "models/new/README.md").write_text("other"), "README.md: has 5 bytes"),
        (lambda lab: _flip(lab / "models/new/model.onnx"), "not the files that the card names: model.onnx"),
        (lambda lab: shutil.copytree(lab / "models/new", lab / "again"), "lab/blood@0.10.0 lies in both again and models/new"),
        (lambda lab: (lab / "linked").symlink_to(lab / "models/new"), "linked is a symbolic link"),
        (lambda lab: _link(lab / "models/new/README.md"), "is a symbolic link"),
        (lambda lab: _link(lab / "models/new/card.yaml"), "is a symbolic link"),
        (lambda lab: (lab / "models/new").rename(lab / "my model"), "'my model' must be a plain relative path"),
        (lambda lab: (lab / "recipe.yaml").write_text("importer: calico"), "source: Field required"),
    ],
)
def test_what_cannot_be_indexed_is_named_and_the_earlier_index_stays(lab, spoil, message):
    before = (lab / "index.json").read_bytes()
    spoil(lab)
    with pytest.raises(PackageError, match="was not indexed") as error:
        build_index(lab)
    assert message in str(error.value)
    assert (lab / "index.json").read_bytes() == before


def _flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def _link(path):
    path.rename(path.parents[2] / "aside")
    path.symlink_to(path.parents[2] / "aside")


def test_hidden_folders_are_no_part_of_an_index(lab):
    shutil.copytree(lab / "models/new", lab / "models/.new.partial-x")
    assert len(build_index(lab).models) == 3


def test_a_package_or_nothing_is_no_source(packages, tmp_path):
    with pytest.raises(InputError, match="is itself a package"):
        build_index(packages["new"])
    with pytest.raises(InputError, match="is not a folder"):
        build_index(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "../elsewhere"}, "must be a plain relative path"),
        ({"path": "/etc"}, "must be a plain relative path"),
        ({"path": "https://example.org/x"}, "must be a plain relative path"),
        ({"path": "file:///etc"}, "must be a plain relative path"),
        ({"path": "a/../../b"}, "must be a plain relative path"),
        ({"path": "C:\\models"}, "must be a plain relative path"),
        ({"path": ".."}, "must be a plain relative path"),
        ({"id": "../blood"}, "should match pattern"),
        ({"id": "lab/blood/0.10.0-abc"}, "looks like a version"),
        ({"version": "../1.0.0"}, "should match pattern"),
        ({"mirror": "x"}, "Extra inputs are not permitted"),
        ({"card_sha256": "0" * 64}, "files must list card.yaml"),
        ({"recipe": {"path": "r.yaml", "sha256": "0" * 64}}, "has a recipe, so it cannot have path"),
        ({"files": {"../../.bashrc": {"bytes": 1, "sha256": "0" * 64}}}, "must be a plain relative path"),
        ({"files": {"/etc/cron.d/x": {"bytes": 1, "sha256": "0" * 64}}}, "must be a plain relative path"),
        ({"files": {"model.onnx": {"bytes": -1, "sha256": "0" * 64}}}, "greater than or equal to 0"),
        ({"license": "my own"}, "SPDX"),
    ],
)
def test_an_index_that_leads_elsewhere_is_refused_with_the_reason(lab, change, message):
    fields = json.loads((lab / "index.json").read_text())
    fields["models"][1] |= change
    (lab / "index.json").write_text(json.dumps(fields))
    with pytest.raises(SourceError, match="Could not look in bundled") as error:
        find_package("lab/blood")
    assert message in str(error.value)
    assert "models.1" in str(error.value)
    with pytest.raises(PackageError, match="cannot be used"):
        list_models()


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b'{"schema_version": "2.0", "models": []}', b"[" * 100_000])
def test_an_index_that_is_none_is_refused(raw):
    with pytest.raises(PackageError, match="index.json cannot be used"):
        Index.parse(raw, "index.json")


def test_a_source_reaches_no_package_through_links(lab, tmp_path):
    (lab / "models").rename(tmp_path / "outside")
    (lab / "models").symlink_to(tmp_path / "outside")
    with pytest.raises(PackageError, match="models is a symbolic link"):
        find_package("lab/blood")


def test_names_find_the_newest_version_or_the_one_asked_for(lab):
    assert find_package("lab/blood").card.version == "0.10.0"
    assert find_package("lab/blood@0.9.0").card.version == "0.9.0"
    assert find_package("lab/brain").folder == lab / "models/brain"


def test_versions_are_in_semantic_order_with_releases_before_previews():
    versions = ["1.0.0", "2.0.0-rc.a", "0.10.0", "2.0.0-rc.10", "0.9.0", "2.0.0-rc.2"]
    assert sorted(versions, key=version_order) == ["2.0.0-rc.2", "2.0.0-rc.10", "2.0.0-rc.a", "0.9.0", "0.10.0", "1.0.0"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lab/blod", "Did you mean lab/blood"),
        ("blood", "Did you mean lab/blood"),
        ("lab/blood@0.1.0", "there are 0.9.0, 0.10.0"),
        ("nothing-like-it", "Looked in: bundled"),
        ("a b", "is not the name of a model"),
        ("file:///etc/passwd", "cannot be read; an address begins with https://"),
        ("ftp://example.org/x", "cannot be read"),
        ("https://example.org/x?token=1", "ends in a query"),
    ],
)
def test_unknown_names_say_what_there_is(lab, name, message):
    with pytest.raises(InputError, match=message):
        find_package(name)


def test_a_folder_goes_before_a_name_and_damaged_ones_can_be_verified(lab, monkeypatch):
    monkeypatch.chdir(lab)
    (lab / "lab").mkdir()
    assert find_package("lab/brain").folder == lab / "models/brain"
    shutil.copytree(lab / "models/old", lab / "lab/brain")
    assert find_package("lab/brain").card.id == "lab/blood"
    (lab / "models/old/README.md").unlink()
    done, _ = command("verify", lab / "models/old")
    assert done.exit_code == 1
    assert "README.md: is missing" in done.stdout


def test_a_local_package_that_changed_after_indexing_is_not_opened(lab, packages):
    shutil.rmtree(lab / "models/new")
    shutil.copytree(packages["old"], lab / "models/new")
    with pytest.raises(PackageError, match=r"card.yaml changed since .*index.json was made"):
        find_package("lab/blood")
    _flip(lab / "models/brain/cells.parquet")
    find_package("lab/brain")
    with pytest.raises(PackageError, match=r"cells.parquet changed since"):
        sz.pull("lab/brain")


def test_list_and_search(lab, configure, tmp_path):
    assert [m.version for m in sz.list_models(tag="blood")] == ["0.9.0", "0.10.0"]
    assert [m.id for m in sz.list_models(assembly="toy2")] == ["lab/brain"]
    assert [m.id for m in search_models("RANDOM mit")] == ["lab/brain"]
    assert search_models(["blood", "brain"]) == []
    shutil.copytree(lab, tmp_path / "copy")
    configure(bundled=lab, copy=tmp_path / "copy", gone=tmp_path / "gone")
    assert [(m.source, m.id) for m in sz.list_models(assembly="toy2")] == [("bundled", "lab/brain"), ("copy", "lab/brain")]
    assert {m.source for m in sz.list_models(source="copy")} == {"copy"}
    assert find_package("lab/brain").folder == lab / "models/brain"
    with pytest.raises(InputError, match="no source 'other'; known are bundled, copy, gone"):
        sz.list_models(source="other")
    with pytest.raises(SourceError, match="scbasset-zoo index"):
        sz.list_models(source="gone")


def test_the_commands(lab, packages, tmp_path):
    done, _ = command("list", "--tag", "blood")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["name", "lab/blood@0.9.0", "lab/blood@0.10.0"]
    done, _ = command("search", "toy2", "--json")
    assert [(m["id"], m["on_this_machine"]) for m in json.loads(done.stdout)] == [("lab/brain", True)]
    assert command("pull", "lab/brain")[0].stdout.strip() == str(lab / "models/brain")
    assert command("verify", "lab/brain")[0].stdout == "lab/brain: OK\n"
    assert "lab/brain" in command("info", "lab/brain")[0].stdout
    done, _ = command("publish", packages["new"], tmp_path / "shelf")
    assert done.stdout.startswith("lab/blood@0.10.0: ")
    done, _ = command("index", tmp_path / "shelf")
    assert done.stdout.splitlines()[-1].endswith("index.json: 1 model")
    assert "no source 'x'" in command("list", "--source", "x")[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: {lab: {place: x}}", "Extra inputs are not permitted"),
        ("sources: {lab: x}", "sources.lab"),
        ("sources: {'a b': {location: x}}", "should match pattern"),
        ("sources: [", "is not valid YAML"),
        ("a: &a [x]\nsources: *a", "anchors and aliases"),
        ("sources: {}\nsources: {}", "the key 'sources' is given twice"),
        ("sources: {lab: {location: x, location: y}}", "the key 'location' is given twice"),
        ("sources: {[a]: {location: x}}", "must be a text"),
        ("[" * 5_000, "nested more than 16 deep"),
    ],
)
def test_a_zoo_yaml_with_problems_is_refused(configure, tmp_path, text, message):
    configure()
    (tmp_path / "config/zoo.yaml").write_text(text)
    with pytest.raises(PackageError, match="zoo.yaml") as error:
        sz.list_models()
    assert message in str(error.value)


def test_zoo_yaml_is_found_where_it_is_said_to_be(configure, lab, tmp_path):
    configure(bundled="../lab")
    assert find_package("lab/brain").card.id == "lab/brain"
    (tmp_path / "config/zoo.yaml").unlink()
    with pytest.raises(InputError, match="SCBASSET_ZOO_CONFIG names"):
        find_package("lab/brain")


def test_publishing_fills_a_source_that_opens_by_name(packages, tmp_path, configure):
    shelf = tmp_path / "shelf"
    for package in packages.values():
        sz.publish(package, shelf)
    published = (shelf / "index.json").read_bytes()
    build_index(shelf)
    assert (shelf / "index.json").read_bytes() == published
    configure(bundled=shelf)
    assert find_package("lab/blood").folder == shelf / "lab/blood/0.10.0"
    assert sz.pull("lab/blood@0.9.0").verify() == []


def test_a_moved_package_predicts_the_same(packages, tmp_path, configure):
    sequences = toy.random_sequences(3)
    expected = sz.open_model(packages["new"], "cpu").embed(sequences)
    sz.publish(packages["new"], tmp_path / "shelf")
    (tmp_path / "shelf").rename(tmp_path / "moved")
    configure(bundled=tmp_path / "moved")
    np.testing.assert_array_equal(sz.open_model("lab/blood", "cpu").embed(sequences), expected)


def test_a_published_version_never_changes(packages, tmp_path, capsys):
    shelf = tmp_path / "shelf"
    sz.publish(packages["new"], shelf)
    before = {path: path.read_bytes() for path in shelf.rglob("*") if path.is_file()}
    sz.publish(packages["new"], shelf)
    assert "already, with the same content; nothing to do" in capsys.readouterr().err
    other = toy.toy_package(tmp_path / "other", id="lab/blood", version="0.10.0", seed=9).folder
    with pytest.raises(PackageError, match="a published version never changes"):
        sz.publish(other, shelf)
    (shelf / "index.json").unlink()
    with pytest.raises(PackageError, match="a published version never changes"):
        sz.publish(other, shelf)
    sz.publish(packages["new"], shelf)
    assert {path: path.read_bytes() for path in shelf.rglob("*") if path.is_file()} == before


def test_a_package_with_findings_is_not_published(packages, tmp_path):
    broken = shutil.copytree(packages["new"], tmp_path / "broken")
    _flip(broken / "model.onnx")
    (broken / "notes.txt").write_text("x")
    with pytest.raises(PackageError, match="was not published") as error:
        sz.publish(broken, tmp_path / "shelf")
    assert "model.onnx: SHA-256" in str(error.value)
    assert "notes.txt: is not listed" in str(error.value)
    assert not (tmp_path / "shelf").exists()


def test_places_that_cannot_be_written_are_refused(packages, lab, tmp_path):
    for place in ("https://example.org/zoo", "http://example.org/zoo"):
        with pytest.raises(InputError, match="published to local folders, s3:// and hf://"):
            sz.publish(packages["new"], place)
    with pytest.raises(InputError, match="cannot be read"):
        sz.publish(packages["new"], "gs://bucket/zoo")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        sz.publish(packages["new"], tmp_path / "file/zoo")


def test_a_bare_word_is_a_source_or_a_folder_that_is_there(packages, lab, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for word in ("nosuchsource", "bundeled"):
        with pytest.raises(InputError, match=rf"no source '{word}'(?s:.)*known are bundled. Give ./{word} to make a folder"):
            sz.publish(packages["new"], word)
        assert not (tmp_path / word).exists()
    done, _ = command("publish", packages["new"], "./shelf")
    assert done.exit_code == 0
    sz.publish(packages["old"], "shelf")
    (tmp_path / "word").mkdir()
    sz.publish(packages["old"], Path("word"))
    sz.publish(packages["old"], Path("made"))
    for folder in ("shelf", "word", "made"):
        assert (tmp_path / folder / "lab/blood/0.9.0/card.yaml").is_file()
    (tmp_path / "bundled").mkdir()
    capsys.readouterr()
    sz.publish(packages["old"], "bundled")
    assert f"bundled is taken for the source at {lab}; for the folder of that name, give ./bundled" in capsys.readouterr().err
    assert list((tmp_path / "bundled").iterdir()) == []


def test_a_package_is_not_published_into_itself(packages, tmp_path, monkeypatch, configure):
    package = shutil.copytree(packages["new"], tmp_path / "package")
    (tmp_path / "link").symlink_to(package)
    configure(mine=package / "zoo")
    monkeypatch.chdir(package)
    for place in (package, package / "zoo", ".", "./zoo", "../link/zoo", "tests", "mine"):
        with pytest.raises(InputError, match="lies inside the package"):
            sz.publish(package, place)
    assert Package.open(package).verify() == []


def test_findings_as_json_are_json_whatever_is_wrong(lab, tmp_path):
    for model, problem in (("nosuch", "There is no model 'nosuch'"), (tmp_path / "nothing", "is not a folder"), (lab, "card.yaml")):
        done, _ = command("verify", model, "--json")
        said = json.loads(done.stdout)
        assert done.exit_code == 1
        assert said["ok"] is False
        assert said["findings"][0]["file"] == str(model)
        assert problem in said["findings"][0]["problem"]


def test_the_published_model_is_found_by_its_assembly(monkeypatch, configure):
    configure()
    assert [m.id for m in sz.list_models(assembly="hg19")] == ["scbasset/buenrostro2018"]


def test_a_folder_is_pulled_only_with_the_hashes_of_its_card(packages, tmp_path):
    package = shutil.copytree(packages["new"], tmp_path / "package")
    assert sz.pull(package).folder == package
    _flip(package / "cells.parquet")
    with pytest.raises(PackageError, match=r"not the files that the card names: cells.parquet"):
        sz.pull(package)


def test_an_id_inside_another_models_version_is_not_published(tmp_path):
    package = toy.toy_package(tmp_path / "p", id="lab/blood/0.10.0").folder
    with pytest.raises(PackageError, match="looks like a version"):
        sz.publish(package, tmp_path / "shelf")
    assert not (tmp_path / "shelf").exists()


def test_opening_a_local_folder_brings_nothing_of_the_network(packages):
    code = (
        "import sys, scbasset_zoo as sz\n"
        f"sz.open_model({str(packages['new'])!r}, 'cpu')\n"
        "print(sorted({'aiohttp', 'fsspec', 'filelock', 'platformdirs', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
