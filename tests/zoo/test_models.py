"""Opening, pulling, listing and searching models."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers import toy
from helpers.rounding import ROUNDING
from helpers.zoo_fixtures import flip_byte
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.main import app
from scbasset_zoo.errors import InputError, PackageError, SourceError
from scbasset_zoo.zoo.models import find_package, search_models


def test_a_folder_has_priority_over_a_name_and_a_damaged_one_can_be_verified(lab, monkeypatch):
    monkeypatch.chdir(lab)
    (lab / "lab").mkdir()
    assert find_package("lab/brain").folder == lab / "models/brain"
    shutil.copytree(lab / "models/old", lab / "lab/brain")
    assert find_package("lab/brain").card.id == "lab/blood"
    (lab / "models/old/README.md").unlink()
    done = CliRunner().invoke(app, ["verify", str(lab / "models/old")])
    assert done.exit_code == 1
    assert "README.md: is missing" in done.stdout


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
    with pytest.raises(InputError, match="no source 'other'. Sources: bundled, copy, gone"):
        sz.list_models(source="other")
    with pytest.raises(SourceError, match="scbasset-zoo index"):
        sz.list_models(source="gone")


def test_the_published_model_is_listed_by_its_assembly(configure):
    configure()
    assert [m.id for m in sz.list_models(assembly="hg19")] == ["scbasset/buenrostro2018"]


def test_a_folder_is_pulled_only_with_the_hashes_of_its_card(packages, tmp_path):
    package = shutil.copytree(packages["new"], tmp_path / "package")
    assert sz.pull(package).folder == package
    flip_byte(package / "cells.parquet")
    with pytest.raises(PackageError, match=r"not the files that the card describes: cells.parquet"):
        sz.pull(package)


def test_a_moved_package_predicts_the_same(packages, tmp_path, configure):
    sequences = toy.random_sequences(3)
    expected = sz.open_model(packages["new"], "cpu").embed(sequences)
    sz.publish(packages["new"], tmp_path / "source")
    (tmp_path / "source").rename(tmp_path / "moved")
    configure(bundled=tmp_path / "moved")
    np.testing.assert_allclose(sz.open_model("lab/blood", "cpu").embed(sequences), expected, atol=ROUNDING)


def test_opening_a_local_folder_imports_no_network_libraries(packages):
    code = (
        "import sys, scbasset_zoo as sz\n"
        f"sz.open_model({str(packages['new'])!r}, 'cpu')\n"
        "print(sorted({'aiohttp', 'fsspec', 'filelock', 'platformdirs', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
