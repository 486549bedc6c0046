"""SequenceModel: embeddings, logits and probabilities are those of the whole network, for any batch size and choice of cells."""

import numpy as np
import onnx
import pytest
from helpers import toy
from helpers.plain_network import whole_network, with_batches
from helpers.rounding import ROUNDING
from scipy.special import expit

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs import dna
from scbasset_zoo.zoo.models import open_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("model") / "toy").folder


@pytest.fixture(scope="module")
def model(folder):
    return open_model(folder, "cpu")


@pytest.fixture(scope="module")
def sequences():
    some = toy.random_sequences(5)
    return [*some, some[0][:100] + "N" * 40 + some[0][140:]]


def test_every_output_is_that_of_the_whole_network(model, folder, sequences):
    expected = whole_network(folder, sequences)
    np.testing.assert_allclose(model.embed(sequences), expected["peak_embedding"], atol=ROUNDING)
    np.testing.assert_allclose(model.logits(sequences), expected["logits"], atol=ROUNDING)
    np.testing.assert_allclose(model.accessibility(sequences), expected["accessibility"], atol=ROUNDING)
    assert expected["logits"].std(axis=0).min() > 0.05, "the toy model must tell sequences apart for this test to mean much"
    assert model.embed(sequences).dtype == model.logits(sequences).dtype == model.accessibility(sequences).dtype == np.float32


def test_head_and_cells_are_the_packages(model, folder):
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(folder / "model.onnx").graph.initializer}
    np.testing.assert_array_equal(model.cell_embedding, weights["cell_embedding"].T)
    np.testing.assert_array_equal(model.cell_intercept, weights["cell_intercept"])
    assert model.cell_embedding.shape == (7, 32)
    assert model.cells.index.tolist() == [f"cell-{i}" for i in range(7)]
    assert model.sequence_length == 1344
    assert model.device.name == "cpu"


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100, np.uint8(2)])
def test_the_batch_size_does_not_matter(model, sequences, batch_size):
    np.testing.assert_allclose(model.embed(sequences, batch_size=batch_size), model.embed(sequences), atol=ROUNDING)


def test_strings_codes_and_one_hot_are_the_same_sequences(model, sequences):
    codes = dna.as_codes(sequences)
    expected = model.embed(sequences)
    for form in (codes, dna.one_hot(codes), [s.lower() for s in sequences]):
        np.testing.assert_allclose(model.embed(form), expected, atol=ROUNDING)
    np.testing.assert_allclose(model.embed(sequences[0]), expected[:1], atol=ROUNDING)
    assert model.embed([]).shape == (0, 32)


def test_sequences_of_another_length_are_refused(model):
    with pytest.raises(InputError, match="1,343 bp; expected 1,344"):
        model.embed(["A" * 1343])
    for batch_size in (0, True, 1.5, "2"):
        with pytest.raises(InputError, match=f"batch size must be a whole number from 1; found {batch_size!r}"):
            model.embed(["A" * 1344], batch_size=batch_size)


def test_cells_can_be_chosen_by_barcode_position_or_boolean(model, sequences):
    every = model.logits(sequences)
    np.testing.assert_allclose(model.logits(sequences, ["cell-4", "cell-1"]), every[:, [4, 1]], atol=ROUNDING)
    np.testing.assert_allclose(model.logits(sequences, np.array([4, 1])), every[:, [4, 1]], atol=ROUNDING)
    np.testing.assert_allclose(model.accessibility(sequences, np.arange(7) > 4), expit(every[:, 5:]), atol=ROUNDING)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["cell-1", "cell-9", "x"], r"no cell cell-9, x \(2 of 3 are unknown\). Its barcodes look like 'cell-0'"),
        ([7], "no cell 7"),
        ([-1], "no cell -1"),
        ([1, 1], "chosen twice"),
        (np.array([], dtype=int), "No cell was chosen"),
        (np.zeros(7, dtype=bool), "No cell was chosen"),
        (np.zeros(3, dtype=bool), "7 booleans"),
        ([0.5], "barcodes, positions"),
    ],
)
def test_cells_that_the_model_does_not_have_are_refused(model, cells, message):
    with pytest.raises(InputError, match=message):
        model.positions(cells)


@pytest.fixture(scope="module")
def corrected(tmp_path_factory):
    return open_model(toy.toy_corrected_package(tmp_path_factory.mktemp("corrected") / "toy").folder, "cpu")


def test_batch_effects_are_those_of_the_graph_and_only_added_on_request(corrected, sequences):
    expected = with_batches(corrected, sequences)
    plain = whole_network(corrected.package.folder, sequences)
    assert np.abs(expected - plain["logits"]).max() > 0.5
    np.testing.assert_allclose(corrected.logits(sequences, batch_effects=True), expected, atol=ROUNDING)
    np.testing.assert_allclose(corrected.accessibility(sequences, batch_effects=True), expit(expected), atol=ROUNDING)
    np.testing.assert_allclose(corrected.logits(sequences), plain["logits"], atol=ROUNDING)
    chosen = corrected.accessibility(sequences, ["cell-4", "cell-1"], batch_effects=True)
    np.testing.assert_allclose(chosen, expit(expected[:, [4, 1]]), atol=ROUNDING)


def test_batch_effects_of_a_model_without_them_are_an_error_before_any_work(model, sequences, tmp_path):
    with pytest.raises(InputError, match="scbasset/toy 1.0.0 is not batch-corrected"):
        model.accessibility(sequences, batch_effects=True)
    with pytest.raises(InputError, match="is not batch-corrected"):
        model.predict(toy.toy_peaks(), toy.toy_genome(tmp_path / "toy.fa"), batch_effects=True)


def test_numbers_that_are_positions_and_barcodes_are_refused(tmp_path):
    cells = toy.toy_cells(3).set_axis(["2", "1", "0"])
    model = open_model(toy.toy_package(tmp_path / "toy", n_cells=3, cells=cells).folder, "cpu")
    assert model.positions(["2", "0"]).tolist() == [0, 2]
    assert model.positions([1]).tolist() == [1], "the same cell either way"
    with pytest.raises(InputError, match="2 is the position of a cell, and another cell has the barcode '2'"):
        model.positions([2, 0])
