"""Batches at fixed addresses give the results of a plain session, for any number of rows."""

import numpy as np
import onnxruntime
import pytest
from helpers.trunks import draw_trunk

from scbasset_zoo.runtime.fixed_batches import FixedBatches


def open_session(model):
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def trunk():
    return draw_trunk()


@pytest.fixture(scope="module")
def passes(trunk):
    return FixedBatches(trunk, 4, open_session, "cpu")


@pytest.mark.parametrize("n", [0, 1, 4, 9])
def test_results_are_those_of_a_plain_session(trunk, passes, n):
    sequence = np.eye(4, dtype=np.float32)[np.random.default_rng(n).integers(0, 4, (n, 61))]
    got = passes(sequence)
    assert got.shape == (n, 3)
    if n:
        (expected,) = open_session(trunk.SerializeToString()).run(["peak_embedding"], {"sequence": sequence})
        # Sums may be taken in another order in batches of another size: 10 layers x 2 units x 1.2e-7.
        np.testing.assert_allclose(got, expected, atol=5e-6)


def test_a_later_run_does_not_change_earlier_results(passes):
    sequences = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, (2, 4, 61))]
    first = passes(sequences[0])
    before = first.copy()
    second = passes(sequences[1])
    np.testing.assert_array_equal(first, before)
    assert np.abs(second - first).max() > 1e-2


def test_the_model_keeps_its_free_batch_axis(trunk, passes):
    assert trunk.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 0
    assert passes.batch_size == 4


@pytest.mark.parametrize("rows", [np.zeros((2, 60, 4), np.float32), np.zeros((2, 61, 4), np.float64)])
def test_rows_of_another_shape_or_type_are_refused(passes, rows):
    with pytest.raises(ValueError, match=r"rows must be float32 \(61, 4\); found"):
        passes(rows)
