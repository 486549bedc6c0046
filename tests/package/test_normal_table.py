"""Names of the columns of a package's tables, and the barcodes of its cells."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scbasset_zoo.errors import InputError
from scbasset_zoo.package.normal_table import check_barcodes, normal_table

NAME = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.tuples(st.text(max_size=2), st.integers(0, 9))
)


@settings(max_examples=100, deadline=None)
@given(st.lists(NAME, max_size=5), st.lists(st.text(max_size=4), max_size=2))
def test_names_of_any_type_become_distinct_texts(names, taken):
    table = pd.DataFrame(np.arange(len(names))[None])
    table.columns = pd.Index(names, dtype=object, tupleize_cols=False)
    normal = normal_table(table, "cells", taken=taken)
    assert normal.iloc[0].tolist() == list(range(len(names)))
    assert all(isinstance(name, str) for name in normal.columns)
    assert len({*normal.columns, *taken}) == len(names) + len(set(taken))


def test_names_that_are_taken_get_a_prefix_again_and_again_and_a_line(capsys):
    table = pd.DataFrame({"n": [1], "obs_n": [2], "plain": [3]})
    normal = normal_table(table, "cells", taken=["n"], prefix="obs_")
    assert dict(normal.iloc[0]) == {"obs_obs_n": 1, "obs_n": 2, "plain": 3}
    assert capsys.readouterr().err == "cells: the column 'n' is called 'obs_obs_n' from here on.\n"
    again = normal_table(normal.assign(n=4), "cells", taken=["n"], prefix="obs_")
    assert sorted(again.iloc[0]) == [1, 2, 3, 4]


def test_too_many_columns_are_refused():
    with pytest.raises(InputError, match="cells has 1,001 columns; a package holds at most 999. Drop columns"):
        normal_table(pd.DataFrame(np.zeros((1, 1001))), "cells", taken=["barcode"])


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (["a", None, "c"], r"the cell in row 1 \(counting from 0, None\) has no barcode"),
        (["a", "b", ""], r"row 2 \(counting from 0, ''\) has no barcode"),
        (["a", "b\nc", "d"], "has a barcode with a line break"),
        (["a", "b", "a"], "the barcode 'a' appears more than once"),
        ([1, "1", 2], "the barcode '1' appears more than once"),
        (["a", "b\0", "c"], "the barcodes of the cells has the text"),
        (pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("c", 3)]), "names of 2 levels"),
    ],
)
def test_barcodes_that_are_no_barcodes_are_refused(index, message):
    with pytest.raises(InputError, match=message):
        check_barcodes(index if isinstance(index, pd.MultiIndex) else pd.Index(index, dtype=object), "cells")
