"""Writing the index of a folder."""

from __future__ import annotations

import json
import shutil

import pytest
from helpers.zoo_fixtures import flip_byte

from scbasset_zoo import files
from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.zoo.indexing import build_index


def test_an_index_has_the_true_size_and_hash_of_every_file(lab, packages):
    written = json.loads((lab / "index.json").read_text())
    assert written["schema_version"] == "1.0"
    assert [(m["id"], m["version"]) for m in written["models"]] == [
        ("lab/blood", "0.9.0"),
        ("lab/blood", "0.10.0"),
        ("lab/brain", "1.0.0"),
    ]
    for model in written["models"]:
        folder = lab / model["path"]
        on_disk = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        assert model["files"] == {name: {"bytes": p.stat().st_size, "sha256": files.sha256(p)} for name, p in on_disk.items()}
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
        (lambda lab: flip_byte(lab / "models/new/model.onnx"), "not the files that the card describes: model.onnx"),
        (lambda lab: shutil.copytree(lab / "models/new", lab / "again"), "lab/blood@0.10.0 is in both again and models/new"),
        (lambda lab: (lab / "linked").symlink_to(lab / "models/new"), "linked is a symbolic link"),
        (lambda lab: _link(lab / "models/new/README.md"), "is a symbolic link"),
        (lambda lab: _link(lab / "models/new/card.yaml"), "is a symbolic link"),
        (lambda lab: (lab / "models/new").rename(lab / "my model"), "'my model' must be a plain relative path"),
        (lambda lab: (lab / "recipe.yaml").write_text("importer: calico"), "source: is missing"),
    ],
)
def test_problems_are_listed_and_the_old_index_stays(lab, spoil, message):
    before = (lab / "index.json").read_bytes()
    spoil(lab)
    with pytest.raises(PackageError, match="was not indexed") as error:
        build_index(lab)
    assert message in str(error.value)
    assert (lab / "index.json").read_bytes() == before


def test_hidden_folders_are_skipped(lab):
    shutil.copytree(lab / "models/new", lab / "models/.new.partial-x")
    assert len(build_index(lab).models) == 3


def test_a_package_or_a_missing_folder_is_not_indexed(packages, tmp_path):
    with pytest.raises(InputError, match="is itself a package"):
        build_index(packages["new"])
    with pytest.raises(InputError, match="is not a folder"):
        build_index(tmp_path / "nothing")


def _link(path):
    path.rename(path.parents[2] / "moved")
    path.symlink_to(path.parents[2] / "moved")
