"""`scbasset-zoo add-gauge` adds what depth and canonical embedding need, or says what is missing and changes nothing."""

import numpy as np
import pytest
from helpers import toy
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.main import app
from scbasset_zoo.package.verifying import verify_package


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


@pytest.fixture
def package(tmp_path):
    return toy.toy_package(tmp_path / "toy", gauge=False)


def invoke(*arguments):
    return CliRunner().invoke(app, ["add-gauge", *map(str, arguments)])


def test_a_package_gets_a_gauge_in_place_or_in_a_copy(package, genome, tmp_path):
    done = invoke(package.folder, "--genome", genome, "--out", tmp_path / "copy")
    assert done.exit_code == 0, done.output
    assert "the gauge of scbasset/toy 1.0.0 is that of 6 peaks" in done.output
    assert sz.open_model(package.folder, "cpu").gauge is None
    assert invoke(package.folder, "--genome", genome).exit_code == 0
    for folder in (package.folder, tmp_path / "copy"):
        assert sz.open_model(folder, "cpu").depth.shape == (7,)
        assert verify_package(folder) == []


def test_a_model_of_the_zoo_gets_a_gauge_in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    simulation = sz.simulate(tmp_path / "demo", n_cells=150, n_peaks=3_000, density=0.15, quiet=True)
    done = invoke("scbasset/demo", "--genome", simulation.genome, "--out", tmp_path / "with")
    assert done.exit_code == 0, done.output
    model = sz.open_model(tmp_path / "with", "cpu")
    np.testing.assert_array_equal(model.cell_embedding, sz.open_model("scbasset/demo", "cpu").cell_embedding)
    r = np.corrcoef(model.depth, np.log(model.cells["n_open_peaks"]))[0, 1]
    assert r > np.corrcoef(model.cell_intercept, np.log(model.cells["n_open_peaks"]))[0, 1]


def test_what_cannot_be_done_is_said_and_nothing_is_changed(package, genome, tmp_path):
    (tmp_path / "other.fa").write_text(">chr1\n" + "ACGT" * 300 + "\n")
    (tmp_path / "outside.bed").write_text("chr1\t100\t600\nchr9\t100\t600\n")
    before = {path: path.read_bytes() for path in package.folder.rglob("*") if path.is_file()}
    for arguments, message in (
        ([package.folder, "--genome", tmp_path / "other.fa"], "chr1"),
        ([package.folder, "--genome", tmp_path / "none.fa"], "none.fa"),
        ([package.folder, "--genome", genome, "--peaks", tmp_path / "outside.bed"], "chr9"),
        ([tmp_path / "no-package", "--genome", genome], "no-package"),
        (["scbasset/demo", "--genome", genome], "--out"),
        ([package.folder, "--genome", genome, "--out", tmp_path / "outside.bed"], "outside.bed"),
    ):
        done = invoke(*arguments)
        assert done.exit_code != 0
        assert message in (str(done.exception) + done.output)
    assert {path: path.read_bytes() for path in package.folder.rglob("*") if path.is_file()} == before
