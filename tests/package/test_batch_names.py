"""Batches of a model are named by the column of its cells, where the cells tell them apart."""

import numpy as np
import pandas as pd
import pytest

from scbasset_zoo.package.batch_names import batch_names

BY_CELL = np.array([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 1, 1, 0]], dtype=np.float32)


@pytest.mark.parametrize(
    ("column", "names"),
    [
        (["b", "a", "c", "b+c", "none"], ["b", "a", "c"]),
        ([2, 1, 3, 7, 9], ["2", "1", "3"]),
        (["b", None, "c", "b+c", "a"], ["b", None, "c"]),
        (["b", "b", "c", "c", "c"], [None, None, "c"]),
    ],
)
def test_names_come_from_the_cells_that_are_of_one_batch_alone(column, names):
    assert batch_names(pd.DataFrame({"batch": column}), "batch", BY_CELL) == names


def test_a_batch_whose_cells_have_several_names_has_none():
    by_cell = np.array([[1, 1, 0], [0, 0, 1]])
    assert batch_names(pd.DataFrame({"batch": ["a", "b", "c"]}), "batch", by_cell) == [None, "c"]


def test_without_the_column_or_cells_of_batches_there_are_no_names():
    assert batch_names(pd.DataFrame({"x": [1, 2, 3, 4, 5]}), "batch", BY_CELL) == [None] * 3
    assert batch_names(pd.DataFrame({"batch": ["a"] * 5}), "batch", 0 * BY_CELL) == [None] * 3
