"""Columns of every type that pandas has, and what each must be after it was written and read."""

import datetime
import decimal

import numpy as np
import pandas as pd

# For each kind of column: three values that are repeated, and the same values as plain Python values, with None for missing ones.
COLUMNS = {
    "bool": (np.array([True, False, True]), [True, False, True]),
    "boolean, missing": (pd.array([True, None, False], dtype="boolean"), [True, None, False]),
    "objects, booleans and missing": (np.array([True, None, False], dtype=object), [True, None, False]),
    "categories, booleans": (pd.Categorical([True, None, False]), [True, None, False]),
    "int8": (np.array([1, -2, 3], dtype=np.int8), [1, -2, 3]),
    "uint64": (np.array([1, 2**64 - 1, 3], dtype=np.uint64), [1, 2**64 - 1, 3]),
    "Int64, missing": (pd.array([2**53 + 1, None, 3], dtype="Int64"), [2**53 + 1, None, 3]),
    "UInt8": (pd.array([1, 2, 3], dtype="UInt8"), [1, 2, 3]),
    "objects, integers": (np.array([2**53 + 1, None, 3], dtype=object), [2**53 + 1, None, 3]),
    "categories, integers": (pd.Categorical([5, 7, None]), [5, 7, None]),
    "sparse integers": (pd.arrays.SparseArray([0, 0, 1]), [0, 0, 1]),
    "float16": (np.array([0.5, np.nan, -1], dtype=np.float16), [0.5, None, -1.0]),
    "float32": (np.array([0.5, np.nan, -1], dtype=np.float32), [0.5, None, -1.0]),
    "Float32, missing": (pd.array([0.5, None, -1], dtype="Float32"), [0.5, None, -1.0]),
    "Float64": (pd.array([0.1, 0.2, 0.3], dtype="Float64"), [0.1, 0.2, 0.3]),
    "sparse numbers": (pd.arrays.SparseArray([0.0, np.nan, 1.0]), [0.0, None, 1.0]),
    "infinite": (np.array([np.inf, -np.inf, 0.0]), [np.inf, -np.inf, 0.0]),
    "objects, numbers": (np.array([1, 2.5, None], dtype=object), [1.0, 2.5, None]),
    "objects, texts": (np.array(["a", None, "é"], dtype=object), ["a", None, "é"]),
    "objects, NaN among texts": (np.array(["nan", np.nan, "None"], dtype=object), ["nan", None, "None"]),
    "numbers as texts": (np.array(["1", "01", "1.0"], dtype=object), ["1", "01", "1.0"]),
    "words that stand for missing": (np.array(["NA", "null", ""], dtype=object), ["NA", "null", ""]),
    "strings": (pd.array(["a", None, "b"], dtype="string"), ["a", None, "b"]),
    "pyarrow strings": (pd.array(["a", None, "b"], dtype="string[pyarrow]"), ["a", None, "b"]),
    "pyarrow integers": (pd.array([1, None, 3], dtype="int64[pyarrow]"), [1, None, 3]),
    "categories": (pd.Categorical(["NK/T", "B", None]), ["NK/T", "B", None]),
    "ordered categories": (pd.Categorical(["low", "high", "low"], ["low", "high"], ordered=True), ["low", "high", "low"]),
    "objects among texts": (np.array(["a", 5, None], dtype=object), ["a", "5", None]),
    "decimals": (np.array([decimal.Decimal("0.1"), None, decimal.Decimal("2")], dtype=object), ["0.1", None, "2"]),
    "complex": (np.array([1 + 2j, 0, 1j]), ["(1+2j)", "0j", "1j"]),
    "dates": (pd.to_datetime(["2026-01-02", None, "2026-01-03"]), ["2026-01-02 00:00:00", None, "2026-01-03 00:00:00"]),
    "dates of a zone": (
        pd.to_datetime(["2026-01-02", None, "2026-01-03"]).tz_localize("UTC"),
        ["2026-01-02 00:00:00+00:00", None, "2026-01-03 00:00:00+00:00"],
    ),
    "objects, dates": (np.array([datetime.date(2026, 1, 2), None, None], dtype=object), ["2026-01-02", None, None]),
    "durations": (pd.to_timedelta([1, None, 3], unit="h"), ["0 days 01:00:00", None, "0 days 03:00:00"]),
    "periods": (pd.PeriodIndex(["2026-01", None, "2026-03"], freq="M"), ["2026-01", None, "2026-03"]),
    "intervals": (pd.arrays.IntervalArray.from_breaks([0, 1, 2, 3]), ["(0, 1]", "(1, 2]", "(2, 3]"]),
    "missing": (np.array([None] * 3, dtype=object), [None] * 3),
    "missing numbers": (np.full(3, np.nan), [None] * 3),
    "missing dates": (pd.to_datetime([None] * 3), [None] * 3),
    "missing categories": (pd.Categorical([None] * 3), [None] * 3),
}
# Names that a file, a tool or this package might trip over.
NAMES = ("donor/id", ".", "..", "_index", "zarr.json", "a\\b", "é ü", " ", "x" * 300, "n_cells", "leiden", 5, ("a", "b"), "A", "a")


def repeated(values, n):
    """Return the three values again and again, n in all."""
    return pd.Series(values).take(np.arange(n) % 3).reset_index(drop=True)


def table_of_all_columns(index):
    """Return a table with a column for each kind, and one for each of the names."""
    columns = [repeated(values, len(index)).rename(kind) for kind, (values, _) in COLUMNS.items()]
    columns += [pd.Series(np.arange(len(index)), name=name) for name in NAMES]
    table = pd.concat(columns, axis=1).set_axis(index, axis=0)
    table.columns = pd.Index([*COLUMNS, *NAMES], dtype=object, tupleize_cols=False)
    return table


def plain_values(column):
    """Return the values of a column as Python's own, with None for missing ones."""
    values = column.astype(object)
    return [None if value is pd.NA or value is None or value != value else value for value in values.tolist()]


def assert_values_kept(table, rows):
    """Check that a table has the values of :func:`table_of_all_columns`, of the rows at these positions."""
    for kind, (_, expected) in COLUMNS.items():
        values = plain_values(table[kind])
        wanted = [expected[row % 3] for row in rows]
        assert values == wanted, kind
        assert [isinstance(value, str) for value in values] == [isinstance(value, str) for value in wanted], kind
        assert [isinstance(value, bool) for value in values] == [isinstance(value, bool) for value in wanted], kind
