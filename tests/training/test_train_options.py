"""The default of the L2 penalty on the cells depends on the batches and on the number of cells."""

import pytest

from scbasset_zoo.training.train_options import TrainingOptions


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 0),
        ({"l2_cell": 1e-3}, 1e-3),
        ({"batch_key": "batch"}, 1e-5),
        ({"batch_key": "batch", "l2_cell": 0}, 0),
        ({"batch_key": "batch", "l2_cell": 1e-8}, 1e-8),
    ],
)
def test_with_batches_the_cells_are_penalised_by_default(options, expected):
    assert TrainingOptions(**options).for_cells(400).l2_cell == pytest.approx(expected)


def test_the_penalty_falls_with_the_number_of_cells():
    of_cells = [TrainingOptions(batch_key="batch").for_cells(n).l2_cell for n in (400, 40_000)]
    assert of_cells[0] == pytest.approx(100 * of_cells[1])
