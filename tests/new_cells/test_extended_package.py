"""A package with new cells: the old ones predict as before, the new ones as their weights say, and the card says what is new."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from helpers import toy

import scbasset_zoo as sz
from scbasset_zoo.errors import InputError
from scbasset_zoo.graph.gauge import read_gauge
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.new_cells.extended_package import extend_package
from scbasset_zoo.package import verify_package
from scbasset_zoo.package.reading import Package

BUNDLED = Path(__file__).parents[2] / "model_cards/scbasset/demo/0.1.0"
METHOD = {"name": "logistic regression", "ridge": np.float64(0.5), "peaks": "all", "unset": None}
EVALUATION = [
    {"metric": "AUROC per cell, mean", "split": "test", "value": 0.7, "n": 7},
    {"metric": "AUROC per peak, mean", "split": "test", "value": 0.8, "n": 3, "note": "with the batch path"},
]
VERDICT = {"learnt": "sequence", "split": "test", "p_sequence": 0.001, "p_cells": 0.001, "p_depth": 0.5, "statement": "It learnt."}
N_NEW = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    architecture = {"name": "scBasset, narrow", "n_parameters": 1_000}
    folder = tmp_path_factory.mktemp("parents") / "toy"
    package = toy.toy_package(folder, evaluation=EVALUATION, verdict=VERDICT, architecture=architecture, tags=["human"])
    return sz.open_model(package.folder, device="cpu")


@pytest.fixture(scope="module")
def corrected(tmp_path_factory):
    return sz.open_model(toy.toy_corrected_package(tmp_path_factory.mktemp("parents") / "toy").folder, device="cpu")


@pytest.fixture(scope="module")
def extended(model, tmp_path_factory):
    return extend(model, tmp_path_factory.mktemp("extended") / "toy")


def new_cells(n=N_NEW, **columns):
    return pd.DataFrame(columns, index=[f"new-{number}" for number in range(n)])


def new_weights(n=N_NEW, size=32, seed=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, size)).astype(np.float32), rng.normal(size=n).astype(np.float32)


def extend(model, out, cells=None, **options):
    cells = new_cells() if cells is None else cells
    return extend_package(model, cells, *new_weights(len(cells)), out=out, **{"method": METHOD, **options})


def run_plainly(package, sequences):
    """Run model.onnx in plain ONNX Runtime."""
    session = onnxruntime.InferenceSession(package.folder / "model.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"sequence": dna.one_hot(dna.as_codes(sequences))}), strict=True))


def network(package):
    return onnx.load(package.folder / "model.onnx")


def test_plain_onnxruntime_gives_the_old_cells_their_numbers_and_the_new_ones_those_of_their_weights(model, extended):
    sequences = toy.random_sequences(3)
    before, after = run_plainly(model.package, sequences), run_plainly(extended, sequences)
    np.testing.assert_array_equal(after["peak_embedding"], before["peak_embedding"])
    for name in ("logits", "accessibility"):
        assert after[name].shape == (3, 7 + N_NEW)
        np.testing.assert_allclose(after[name][:, :7], before[name], atol=1e-6)
    embedding, intercept = new_weights()
    logits = before["peak_embedding"].astype(np.float64) @ embedding.T + intercept
    np.testing.assert_allclose(after["logits"][:, 7:], logits, atol=1e-5)
    np.testing.assert_allclose(after["accessibility"][:, 7:], 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_trunk_gauge_and_old_weights_are_bit_identical(model, extended):
    before, after = extract_trunk(network(model.package)), extract_trunk(network(extended))
    assert list(map(str, before.graph.node)) == list(map(str, after.graph.node))
    for old, new in zip(before.graph.initializer, after.graph.initializer, strict=True):
        assert old.SerializeToString() == new.SerializeToString()
    for old, new in zip(read_gauge(network(model.package)), read_gauge(network(extended)), strict=True):
        np.testing.assert_array_equal(old, new)
    opened = sz.open_model(extended.folder, device="cpu")
    for name, new in zip(("cell_embedding", "cell_intercept"), new_weights(), strict=True):
        np.testing.assert_array_equal(getattr(opened, name), np.concatenate([getattr(model, name), new]))


def test_depths_of_the_old_cells_and_distances_between_them_stay(model, extended):
    opened = sz.open_model(extended.folder, device="cpu")
    np.testing.assert_array_equal(opened.depth[:7], model.depth)
    distances = [
        np.linalg.norm(x[:7, None] - x[None, :7], axis=-1) for x in (model.canonical_embedding, opened.canonical_embedding)
    ]
    np.testing.assert_allclose(distances[1], distances[0], rtol=1e-5, atol=1e-5)


def test_the_package_verifies_and_its_test_sequences_are_those_of_the_parent(model, extended):
    assert verify_package(extended.folder) == []
    path = "tests/sequences.txt"
    assert (extended.folder / path).read_bytes() == (model.package.folder / path).read_bytes()
    pd.testing.assert_frame_equal(extended.peaks(), model.package.peaks())


def test_columns_of_both_sides_are_joined_and_keep_their_types(model, tmp_path):
    cells = new_cells(cell_type=["T", None, "NK", "T"], n_open=[5, 6, 7, 8], kept=[True, False, True, True], score=[0.5, 1, 2, 3])
    table = extend(model, tmp_path / "p", cells).cells()
    assert list(table.index) == [*model.cells.index, *cells.index]
    assert list(table.columns) == ["cell_type", "batch", "origin", "n_open", "kept", "score"]
    assert table["origin"].tolist() == ["trained"] * 7 + ["embedded"] * N_NEW
    assert table["cell_type"].tolist() == [*model.cells["cell_type"], "T", None, "NK", "T"]
    assert table["batch"].tolist()[7:] == [None] * N_NEW
    assert (str(table["n_open"].dtype), str(table["kept"].dtype), str(table["score"].dtype)) == ("Int64", "boolean", "float64")
    assert table["n_open"].isna().tolist() == [True] * 7 + [False] * N_NEW
    assert table["n_open"].tolist()[7:] == [5, 6, 7, 8]


def test_a_column_origin_of_the_user_is_kept(model, tmp_path):
    cells = extend(model, tmp_path / "p", new_cells(origin=["blood", "blood", "skin", "skin"]))
    assert cells.cells()["origin"].tolist() == [None] * 7 + ["blood", "blood", "skin", "skin"]
    assert "trained" not in cells.card.cells.columns["origin"]


def test_the_card_says_where_the_package_comes_from(model, extended):
    card, parent = extended.card, model.card
    assert (card.id, card.version) == ("scbasset/toy-extended", "0.1.0")
    lineage = card.lineage.model_dump()
    assert lineage == {
        "parent": {"id": "scbasset/toy", "version": "1.0.0", "card_sha256": model.card_sha256},
        "method": "logistic regression",
        "settings": {"ridge": 0.5, "peaks": "all"},
        "n_new_cells": N_NEW,
    }
    for name in ("license", "citation", "data", "authors", "genome", "gauge", "peaks", "training", "intended_use", "tags", "input"):
        assert getattr(card, name) == getattr(parent, name), name
    assert card.description == (
        "scbasset/toy 1.0.0 with 4 new cells after its own 7. The fitted model: Random weights with the structure of scBasset."
    )
    assert card.limits.startswith("Cells that were added to the fitted network took no part in its training.")
    assert card.limits.endswith("The fitted model: Predicts nothing.")
    assert card.architecture.n_parameters == 1_000 + 33 * N_NEW
    assert card.architecture.producer.startswith("scbasset_zoo ")
    assert card.cells.columns == {
        "cell_type": "simulated cell type; missing for some cells",
        "batch": "the column batch of the cells' annotation (.obs); missing for some cells",
        "origin": "trained: the network was fitted to the cell; embedded: the cell was added to the fitted network",
    }
    assert card.cells.default_group == "cell_type"


def test_evaluation_and_verdict_say_of_which_cells_they_speak(extended):
    notes = [row.note for row in extended.card.evaluation]
    assert notes == ["of the 7 cells of scbasset/toy 1.0.0", "with the batch path; of the 7 cells of scbasset/toy 1.0.0"]
    assert extended.card.verdict.statement == "Of scbasset/toy 1.0.0: It learnt."
    assert extended.card.verdict.learnt == "sequence"
    text = (extended.folder / "README.md").read_text()
    assert "model-index" not in text
    assert "The last 4 of the 11 cells were added without training. Method: logistic regression." in text
    assert "- `ridge`: 0.5" in text


def test_an_extension_of_an_extension_does_not_repeat_itself(model, extended, tmp_path):
    cells = new_cells(2).rename(index="more-{}".format)
    again = extend(sz.open_model(extended.folder, device="cpu"), tmp_path / "again", cells)
    card = again.card
    assert (card.id, card.version) == ("scbasset/toy-extended", "0.2.0")
    assert card.lineage.parent.card_sha256 == extended.card_sha256
    assert card.description.startswith("scbasset/toy-extended 0.1.0 with 2 new cells after its own 11. The fitted model: Random")
    assert card.limits == extended.card.limits
    assert card.evaluation == extended.card.evaluation
    assert card.verdict == extended.card.verdict
    assert card.cells.columns == extended.card.cells.columns
    assert again.cells()["origin"].tolist() == ["trained"] * 7 + ["embedded"] * 6
    assert card.architecture.n_parameters == 1_000 + 33 * 6


def test_new_cells_alone(model, tmp_path):
    cells = new_cells(cluster=["a", "a", "b", "b"])
    # Without the model's cells, a new cell may have the barcode of one.
    cells.index = [model.cells.index[0], *cells.index[1:]]
    package = extend(model, tmp_path / "alone", cells, alone=True)
    assert verify_package(package.folder) == []
    assert package.cells().to_dict("list") == {"cluster": ["a", "a", "b", "b"], "origin": ["embedded"] * N_NEW}
    sequences = toy.random_sequences(2)
    embedding, intercept = new_weights()
    logits = run_plainly(model.package, sequences)["peak_embedding"] @ embedding.T + intercept
    np.testing.assert_allclose(run_plainly(package, sequences)["logits"], logits, atol=1e-5)
    card = package.card
    assert card.evaluation == ()
    assert card.verdict.statement == "Of scbasset/toy 1.0.0: It learnt."
    assert card.description.startswith("4 new cells in the network of scbasset/toy 1.0.0, without its own cells.")
    assert card.cells.default_group == "cluster"
    assert "All cells were added without training." in (package.folder / "README.md").read_text()


def test_new_cells_of_a_batch_have_its_effect_and_others_have_none(corrected, tmp_path):
    package = extend(corrected, tmp_path / "p", batches=["b2", None, "b1", None])
    assert verify_package(package.folder) == []
    sequences = toy.random_sequences(2)
    before, after = run_plainly(corrected.package, sequences), run_plainly(package, sequences)
    np.testing.assert_allclose(after["batch_logits"][:, :7], before["batch_logits"], atol=1e-6)
    path = corrected.batches
    effect = before["peak_embedding"] @ path.embedding + path.intercept
    added = after["batch_logits"][:, 7:] - after["logits"][:, 7:]
    np.testing.assert_allclose(added, np.stack([effect[:, 1], 0 * effect[:, 0], effect[:, 0], 0 * effect[:, 0]], axis=1), atol=1e-5)
    assert package.cells()["batch"].tolist() == [*corrected.cells["batch"], "b2", None, "b1", None]
    assert package.card.batch_correction == corrected.card.batch_correction
    # What other batches are called does not matter, also when this package is extended.
    cells = new_cells(2, batch=["elsewhere", "b1"]).rename(index="more-{}".format)
    again = extend(sz.open_model(package.folder, device="cpu"), tmp_path / "again", cells, batches=[None, "b1"])
    np.testing.assert_array_equal(sz.open_model(again.folder, device="cpu").batches.by_cell[:, -2:], [[0, 1], [0, 0]])


def test_alone_without_batches_there_is_no_batch_path(corrected, tmp_path):
    package = extend(corrected, tmp_path / "alone", alone=True)
    assert package.card.output_names == ("accessibility", "logits", "peak_embedding")
    assert package.card.batch_correction is None
    kept = extend(corrected, tmp_path / "kept", alone=True, batches=["b2"] * N_NEW)
    assert kept.card.output_names[-1] == "batch_logits"
    assert kept.cells()["batch"].tolist() == ["b2"] * N_NEW


@pytest.mark.parametrize(
    ("batches", "column", "message"),
    [
        (["b3", None, None, None], None, r"'new-0' \(row 0, .* batch 'b3'.*Its batches are 'b1', 'b2'\. Give None"),
        (["b1"], None, "has 1 names for 4 new cells"),
        (["b1", "b1", None, None], ["b1", "b2", "b2", "b2"], r"'new-1' \(row 1, .*says 'b2'"),
    ],
)
def test_batches_that_the_model_does_not_have_are_refused(corrected, tmp_path, batches, column, message):
    cells = new_cells() if column is None else new_cells(batch=column)
    with pytest.raises(InputError, match=message):
        extend(corrected, tmp_path / "p", cells, batches=batches)
    assert list(tmp_path.iterdir()) == []


def test_batches_need_a_batch_corrected_model(model, tmp_path):
    with pytest.raises(InputError, match="has no batches.*leave out batches"):
        extend(model, tmp_path / "p", batches=["b1"] * N_NEW)


def test_barcodes_of_the_model_are_refused(model, tmp_path):
    cells = new_cells().set_axis(["cell-3", "x", "cell-0", "y"])
    with pytest.raises(
        InputError, match=r"2 of the 4 new cells .*scbasset/toy 1\.0\.0 has already: 'cell-3', 'cell-0'\..*alone=True"
    ):
        extend(model, tmp_path / "p", cells)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("alone", [False, True])
def test_repeated_barcodes_are_refused(model, tmp_path, alone):
    with pytest.raises(InputError, match=r"1 barcodes of the new cells appear more than once: 'a'\..*leave the copies out"):
        extend(model, tmp_path / "p", new_cells().set_axis(["a", "b", "a", "c"]), alone=alone)


@pytest.mark.parametrize(
    ("embedding", "intercept", "message"),
    [
        (np.zeros((N_NEW, 31), np.float32), np.zeros(N_NEW), r"cell_embedding must have shape \(4, 32\).*found \(4, 31\)"),
        (np.zeros((N_NEW, 32), np.float32), np.zeros(3), r"cell_intercept must have shape \(4,\).*found \(3,\)"),
        (
            np.full((N_NEW, 32), [[1.0], [np.nan], [1.0], [np.inf]]),
            np.zeros(N_NEW),
            r"2 new cells is not finite; the first is 'new-1'",
        ),
        (np.zeros((N_NEW, 32)), np.array([0, 0, 1e300, 0]), r"cell_intercept of 1 new cells is not finite; the first is 'new-2'"),
    ],
)
def test_weights_of_another_shape_or_not_finite_are_refused(model, tmp_path, embedding, intercept, message):
    with pytest.raises(InputError, match=message):
        extend_package(model, new_cells(), embedding, intercept, out=tmp_path / "p", method=METHOD)


def test_no_cells_no_name_and_the_parents_own_place_are_refused(model, tmp_path):
    with pytest.raises(InputError, match="has no rows"):
        extend(model, tmp_path / "p", new_cells(0))
    with pytest.raises(InputError, match="no 'name'"):
        extend(model, tmp_path / "p", method={"ridge": 1})
    with pytest.raises(InputError, match="is or contains the input"):
        extend(model, model.package.folder, overwrite=True)
    with pytest.raises(InputError, match=r"cannot be scbasset/toy 1\.0\.0"):
        extend(model, tmp_path / "p", id="scbasset/toy", version="1.0.0")
    assert list(tmp_path.iterdir()) == []


def test_id_and_version_may_be_given(model, tmp_path):
    package = extend(model, tmp_path / "p", id="lab/mine")
    assert (package.card.id, package.card.version) == ("lab/mine", "0.1.0")
    package = extend(model, tmp_path / "p", id="scbasset/toy", overwrite=True)
    assert (package.card.id, package.card.version) == ("scbasset/toy", "1.1.0")
    assert Package.open(tmp_path / "p").card.version == "1.1.0"


def test_a_model_without_a_gauge_that_tensorflow_made_is_extended(tmp_path):
    bundled = sz.open_model(BUNDLED, device="cpu")
    package = extend(bundled, tmp_path / "p")
    assert package.card.gauge is None
    sequences = toy.random_sequences(2)
    before, after = run_plainly(bundled.package, sequences), run_plainly(package, sequences)
    np.testing.assert_allclose(after["logits"][:, : bundled.n_cells], before["logits"], atol=1e-6)
