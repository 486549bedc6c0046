"""Writing a package: it is complete and verified, or nothing is written."""

import numpy as np
import onnx
import pytest
from helpers import toy
from helpers.any_table import assert_values_kept, table_of_all_columns
from helpers.forgery import make_weights_not_finite, reverse_outputs
from helpers.rounding import ROUNDING

from scbasset_zoo import files
from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.graph.plain_run import run_plainly
from scbasset_zoo.inputs import dna
from scbasset_zoo.package.digests import order_digest
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.writing import write_package


def write(folder, **changes):
    arguments = {"card": toy.toy_card(), "model": toy.toy_model(), "cells": toy.toy_cells(), "peaks": toy.toy_peaks()}
    return write_package(folder, **(arguments | changes))


def test_a_written_package_opens_and_verifies(original):
    package = Package.open(original)
    assert package.verify() == []
    assert package.card_sha256 == files.sha256(original / "card.yaml")
    assert sorted(path.relative_to(original).as_posix() for path in original.rglob("*") if path.is_file()) == [
        "README.md",
        "card.yaml",
        "cells.parquet",
        "model.onnx",
        "peaks.parquet",
        "tests/expected.npz",
        "tests/sequences.txt",
    ]


def test_the_test_vectors_are_plain_onnxruntimes_and_include_n(original):
    sequences = (original / "tests/sequences.txt").read_text().split()
    assert any("N" in sequence for sequence in sequences)
    outputs = run_plainly((original / "model.onnx").read_bytes(), dna.one_hot(dna.as_codes(sequences)))
    with np.load(original / "tests/expected.npz", allow_pickle=False) as expected:
        assert sorted(expected) == ["accessibility", "cells", "logits", "peak_embedding"]
        assert expected["cells"].tolist() == list(range(7))
        for name in outputs:
            np.testing.assert_allclose(expected[name], outputs[name], atol=ROUNDING)


def test_test_vectors_of_many_cells_are_kept_for_a_thousand(tmp_path):
    package = toy.toy_package(tmp_path / "many", n_cells=2_500)
    with np.load(package.folder / "tests/expected.npz", allow_pickle=False) as expected:
        assert expected["logits"].shape == (4, 1_000)
        assert expected["cells"][[0, -1]].tolist() == [0, 2_499]


def test_metadata_of_the_model_names_the_package(original):
    model = onnx.load(original / "model.onnx")
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "id": "scbasset/toy",
        "version": "1.0.0",
        "n_cells": "7",
        "cell_order_sha256": order_digest(f"cell-{i}" for i in range(7)),
    }


def test_the_readme_says_what_the_card_says(original):
    text = (original / "README.md").read_text()
    for words in ("scbasset/toy 1.0.0", "CC0-1.0", "toy1", "https://doi.org/10.1038/s41592-022-01562-8", "Predicts nothing."):
        assert words in text


def test_a_package_without_peaks_is_complete(tmp_path):
    package = write(tmp_path / "p", peaks=None)
    assert package.verify() == []
    assert package.peaks() is None


def test_columns_get_the_meanings_given_or_plain_ones(original):
    columns = Package.open(original).card.cells.columns
    assert columns["cell_type"] == "simulated cell type"
    assert columns["batch"] == "the column batch of the training cells' annotation (.obs)"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cells": toy.toy_cells(6)}, "The model has 7 cells, the table of cells 6 rows"),
        ({"cells": toy.toy_cells().rename(index={"cell-1": "cell-0"})}, "'cell-0' appears more than once"),
        ({"cells": toy.toy_cells().assign(barcode="x")}, "the column 'barcode' differs from the index"),
        ({"cells": toy.toy_cells().assign(mixed=[1, "a", 2.0, None, [1], {}, "b"])}, "column 'mixed' has the list \\[1\\]"),
        ({"peaks": toy.toy_peaks().drop(columns="end")}, "lacks the column 'end'"),
        ({"sequences": ["ACGT"]}, "1,344 bp"),
        ({"card": toy.toy_card(limits="TODO", license="GPL")}, "has 2 problems"),
        ({"card": toy.toy_card(files={})}, "'files' is made"),
        ({"card": toy.toy_card(colour="red")}, "colour: unknown key"),
    ],
)
def test_what_cannot_be_packaged_is_refused_and_leaves_nothing(tmp_path, changes, message):
    with pytest.raises((InputError, PackageError), match=message):
        write(tmp_path / "p", **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_breaks_the_contract_is_not_written(tmp_path):
    model = toy.toy_model()
    make_weights_not_finite(model)
    reverse_outputs(model)
    with pytest.raises(PackageError, match=r"not finite(.|\n)*in this order"):
        write(tmp_path / "p", model=model)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_package_is_replaced_only_when_asked(tmp_path):
    write(tmp_path / "p")
    with pytest.raises(InputError, match="already exists"):
        write(tmp_path / "p")
    assert write(tmp_path / "p", card=toy.toy_card(version="2.0.0"), overwrite=True).card.version == "2.0.0"


def test_a_package_keeps_cells_and_peaks_of_any_type(tmp_path):
    cells = table_of_all_columns(toy.toy_cells().index)
    peaks = toy.toy_peaks()
    peaks = table_of_all_columns(peaks.index).assign(**peaks)
    package = write(tmp_path / "p", cells=cells, peaks=peaks, card=toy.toy_card(cells={"columns": {}}))
    assert package.verify() == []
    assert_values_kept(package.cells(), range(len(cells)))
    assert_values_kept(package.peaks(), range(len(peaks)))
