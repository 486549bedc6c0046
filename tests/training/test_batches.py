"""Reading the batch of each cell."""

import numpy as np
import pandas as pd
import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.training.batches import read_batches


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["nan", "None", "nan", "None"], ["None", "nan"]),
        (["NK/T", "null", "NK/T", "null"], ["NK/T", "null"]),
        ([True, False, True, False], ["False", "True"]),
        ([2, 10, 2, 10], ["10", "2"]),
        (pd.Categorical(["b", "a", "b", "a"], ["b", "a", "unused"]), ["a", "b"]),
        (pd.array([2, 1, 2, 1], dtype="Int64"), ["1", "2"]),
    ],
)
def test_batches_of_any_type_are_named_by_their_text(values, names):
    cells = pd.DataFrame({"batch": values}, index=list("abcd"))
    batches = read_batches(cells, "batch", "the run")
    assert batches.names == names
    assert [names[i] for i in batches.batch_of_cell] == [str(value) for value in np.asarray(values)]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, "", "  "])
def test_a_cell_without_a_batch_is_named(missing):
    cells = pd.DataFrame({"batch": ["nan", "nan", missing, "x"]}, index=list("abcd"))
    with pytest.raises(InputError, match=r"1 cells have no batch, the first is 'c' \(row 2\)"):
        read_batches(cells, "batch", "the run")


def test_a_count_of_prepare_is_no_batch():
    cells = pd.DataFrame({"n_open_peaks": [1, 1, 2, 2], "obs_n_open_peaks": list("xxyy")}, index=list("abcd"))
    with pytest.raises(InputError, match="which prepare counts.*is called 'obs_n_open_peaks'"):
        read_batches(cells, "n_open_peaks", "prepared")
    assert read_batches(cells, "obs_n_open_peaks", "prepared").names == ["x", "y"]
