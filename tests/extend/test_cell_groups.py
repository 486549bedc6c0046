"""Groups of cells come from a complete column; messages name the option and say what to do."""

import types

import numpy as np
import pandas as pd
import pytest

from scbasset_zoo import InputError
from scbasset_zoo.extend.cell_groups import CellGroups, column_of, labels_of
from scbasset_zoo.wording import command_line


@pytest.fixture
def model():
    cells = pd.DataFrame(
        {"cell_type": ["T", "B", "T", "B", "T"], "same": ["a"] * 5, "own": list("abcde"), "holes": ["a", None, "b", "a", None]},
        index=[f"cell-{i}" for i in range(5)],
    )
    return types.SimpleNamespace(cells=cells, card=types.SimpleNamespace(id="lab/model"))


def test_groups_are_sorted_and_averaged(model):
    groups = CellGroups(model, "cell_type")
    assert groups.names == ["B", "T"]
    assert groups.codes.tolist() == [1, 0, 1, 0, 1]
    assert groups.sizes.tolist() == [2, 3]
    values = np.arange(10, dtype=np.float32).reshape(5, 2)
    np.testing.assert_allclose(groups.means(values), [values[[1, 3]].mean(axis=0), values[[0, 2, 4]].mean(axis=0)])
    assert labels_of(model, "cell_type").tolist() == ["T", "B", "T", "B", "T"]
    assert column_of(model, "own", "contrast").tolist() == list("abcde")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("absent", "the cells of lab/model have no column 'absent'; they have cell_type, same, own, holes."),
        ("same", "all 5 cells have the same 'a'; expected two or more values."),
        ("holes", "2 of 5 cells have no holes, such as 'cell-1' (row 2). Choose another column, or fill it"),
        ("own", "each of the 5 cells has its own own, such as 'a'. Choose a column whose values are shared by cells."),
    ],
)
def test_a_column_that_cannot_be_used_is_described_with_the_option_as_the_user_writes_it(model, column, message):
    with pytest.raises(InputError) as raised:
        labels_of(model, column)
    assert str(raised.value).startswith(f"group_by: {message}")
    with command_line(), pytest.raises(InputError) as raised:
        labels_of(model, column, "batch_key")
    assert str(raised.value).startswith(f"--batch-key: {message}")
