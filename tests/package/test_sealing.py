"""Sealing: a package whose card was edited becomes complete again, or nothing changes."""

import onnx
import pytest
from typer import Typer
from typer.testing import CliRunner

from scbasset_zoo.cli.seal import seal
from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.sealing import seal_package
from scbasset_zoo.package.verifying import verify_package


def edit(folder, old, new):
    """Change the text of card.yaml as a person does, who leaves the digest as it was."""
    path = folder / "card.yaml"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_edited_card_is_sealed_with_its_readme_and_the_labels_of_the_network(folder, original):
    edit(folder, "id: scbasset/toy", "id: scbasset/renamed")
    edit(folder, "limits: Predicts nothing.", "limits: Predicts very little.")
    with pytest.raises(PackageError, match="run scbasset-zoo seal FOLDER"):
        Package.open(folder)
    package = seal_package(folder)
    assert package.verify() == []
    assert (package.card.id, package.card.limits) == ("scbasset/renamed", "Predicts very little.")
    assert "Predicts very little." in (folder / "README.md").read_text()
    labels = {entry.key: entry.value for entry in onnx.load(folder / "model.onnx").metadata_props}
    assert labels["id"] == "scbasset/renamed"
    for name in ("cells.parquet", "peaks.parquet", "tests/expected.npz", "tests/sequences.txt"):
        assert (folder / name).read_bytes() == (original / name).read_bytes()


def test_a_whole_package_is_sealed_to_the_same_bytes(folder):
    before = contents(folder)
    seal_package(folder)
    assert contents(folder) == before


def test_a_missing_digest_line_and_a_changed_readme_are_replaced(folder, original):
    path = folder / "card.yaml"
    path.write_bytes(path.read_bytes()[:-73])
    (folder / "README.md").write_text("Look at https://example.org!")
    seal_package(folder)
    assert contents(folder) == contents(original)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("limits: Predicts nothing.", "limits: TODO", "placeholder"),
        ("  n_cells: 7", "  n_cells: 8", "has 7 cells; the card says 8"),
        ("assembly: toy1", "assembly: toy1\n  colour: blue", "genome.colour: unknown key"),
        ("  rtol: 0.001", "  rtol: 1.0", "tests.rtol: must be at most 0.01"),
    ],
)
def test_an_edit_that_contradicts_the_package_is_refused_and_changes_nothing(folder, old, new, reason):
    edit(folder, old, new)
    before = contents(folder)
    with pytest.raises(PackageError) as caught:
        seal_package(folder)
    assert reason in str(caught.value)
    assert contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["toy"]


@pytest.mark.parametrize("name", ["model.onnx", "cells.parquet", "tests/expected.npz"])
def test_other_files_must_be_those_that_the_card_names(folder, name):
    raw = bytearray((folder / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / name).write_bytes(raw)
    (folder / "notes.txt").write_text("mine")
    before = contents(folder)
    with pytest.raises(
        PackageError, match=rf"only its card may have been edited:\n  {name}: SHA-256(.|\n)*notes.txt: is not listed"
    ):
        seal_package(folder)
    assert contents(folder) == before


def test_sealing_on_the_command_line(folder):
    app = Typer()
    app.command()(seal)
    edit(folder, "version: 1.0.0", "version: 1.0.1")
    done = CliRunner().invoke(app, [str(folder)])
    assert (done.exit_code, done.stdout) == (0, f"{folder}: sealed, scbasset/toy 1.0.1\n")
    assert verify_package(folder) == []
