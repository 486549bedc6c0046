"""Columns of any type become texts, numbers or booleans, with missing values kept."""

import numpy as np
import pandas as pd
import pytest
from helpers.any_table import COLUMNS, plain_values
from hypothesis import given, settings
from hypothesis import strategies as st

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.normal_columns import normal_column

VALUE = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=True) | st.text(max_size=5) | st.dates()


@pytest.mark.parametrize("kind", COLUMNS)
def test_values_are_kept(kind):
    values, expected = COLUMNS[kind]
    column = normal_column(pd.Series(values, name="x"), "cells")
    assert plain_values(column) == expected
    assert isinstance(column.dtype, pd.CategoricalDtype) or column.dtype.kind in "biufO"


@settings(max_examples=200, deadline=None)
@given(st.lists(VALUE, max_size=5))
def test_a_column_of_any_values_is_kept_or_refused(values):
    try:
        column = normal_column(pd.Series(values, dtype=object, name="x"), "cells")
    except InputError:
        return
    kept = plain_values(column)
    for value, new in zip(values, kept, strict=True):
        if value is None or value != value:
            assert new is None
        elif isinstance(new, str):
            assert new == str(value)
        else:
            assert new == value
    # What is normal stays as it is.
    pd.testing.assert_series_equal(normal_column(column, "cells"), column)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([["a"], ["b"]], r"cells: the column 'x' has the list \['a'\]; expected texts, numbers, booleans or dates. Write"),
        ([{"a": 1}, None], "the column 'x' has the dict"),
        ([1, "1"], r"has 1 \(int\) and '1' \(str\), which are the same as text. Give all its values one type, or drop"),
        ([True, "True"], r"has True \(bool\) and 'True' \(str\)"),
        (["a\0b", "c"], r"has the text 'a\\x00b', with characters that files cannot hold. Remove them"),
        (["\ud800", "c"], "with characters that files cannot hold"),
        ([b"\xff", b"a"], r"the column 'x' has the bytes b'\\xff'"),
        ([np.zeros(2), None], "the column 'x' has the ndarray"),
    ],
)
def test_what_cannot_be_written_is_refused_with_column_and_remedy(values, message):
    with pytest.raises(InputError, match=message):
        normal_column(pd.Series(values, dtype=object, name="x"), "cells")


def test_dates_become_texts_with_a_line(capsys):
    normal_column(pd.Series(pd.to_datetime(["2026-01-02", None]), name="day"), "cells")
    assert capsys.readouterr().err == "cells: the column 'day' is kept as text, such as '2026-01-02 00:00:00'.\n"
