"""Brings the tables of cells and peaks into a normal form, which a package, .h5ad and .zarr can hold.

In normal form, the names of the columns are distinct texts. A column holds texts, whole numbers, real numbers or booleans, of which
some may be missing. A table that cannot be brought into this form is refused before any work.
"""

from __future__ import annotations

import datetime
import enum
import numbers
import uuid
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pandas as pd

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.column_names import distinct_names
from scbasset_zoo.package.card_fields import INVISIBLE, PLACEHOLDER
from scbasset_zoo.package.tables import MAX_COLUMNS
from scbasset_zoo.progress import say

# A name is also the name of a folder in .zarr, which has at most 255 bytes.
MAX_NAME_BYTES = 200
# Values of these types become texts that tell them apart.
_WITH_TEXT = (
    numbers.Number,
    np.bool_,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    np.datetime64,
    np.timedelta64,
    pd.Period,
    pd.Interval,
    enum.Enum,
    uuid.UUID,
)


def normal_table(table: pd.DataFrame, where: str, *, taken: Collection[str] = (), prefix: str = "column_") -> pd.DataFrame:
    """Return a table in normal form, with the same rows, index and order of columns. A line says which names change.

    Parameters
    ----------
    table : DataFrame
    where : str
        Name of the table in messages, such as ".obs of matrix.h5ad".
    taken : collection of str
        Names that other columns will have.
    prefix : str
        It is put before a name that is taken, or that another column has.

    Raises
    ------
    InputError
        There are too many columns, or :func:`normal_column` refuses one.
    """
    if len(table.columns) + len(taken) > MAX_COLUMNS:
        raise InputError(
            f"{where} has {len(table.columns):,} columns; a package holds at most {MAX_COLUMNS - len(taken):,}. Drop columns that "
            "are not needed."
        )
    names = distinct_names(table.columns, taken, prefix, column_name)
    for old, new in zip(table.columns, names, strict=True):
        if new != str(old):
            say(f"{where}: the column {_short(old)} is called {_short(new)} from here on.")
    columns = [normal_column(values.rename(name), where) for name, (_, values) in zip(names, table.items(), strict=True)]
    return pd.concat(columns, axis=1) if columns else table.set_axis([], axis=1)


def normal_values(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return a table with each column as of :func:`normal_column`, under the same name."""
    columns = [normal_column(values, where) for _, values in table.items()]
    return pd.concat(columns, axis=1) if columns else table


def column_name(name: Any) -> str:
    """Return the name of a column as a text that a card can hold: no control characters, no placeholder, at most 200 bytes."""
    text = INVISIBLE.sub("_", "_".join(map(str, name)) if isinstance(name, tuple) else str(name))
    text = text.encode()[:MAX_NAME_BYTES].decode(errors="ignore")
    return PLACEHOLDER.sub(lambda match: f"{match.group()}_", text)


def normal_column(values: pd.Series, where: str) -> pd.Series:
    """Return a column as one of the types that every format can hold. Missing values stay missing.

    - Booleans are bool, or boolean if some are missing.
    - Whole numbers keep their type, such as int64, or have Int64 and the like if some are missing.
    - Real numbers are float32 or float64, with NaN for missing ones.
    - Texts are str in an object column, with None for missing ones. Categories of texts keep their order.
    - Dates, times, periods, intervals, complex and decimal numbers, enums, and numbers among texts become texts. A line says so.

    Sparse columns, columns of pyarrow, categories of numbers, and columns of objects are taken by their values.

    Parameters
    ----------
    values : Series
    where : str
        Name of the table in messages.

    Raises
    ------
    InputError
        Values have no text (lists, dicts and other objects), different values have the same text (5 and "5"), or a text cannot be
        written (a NUL character, or letters that UTF-8 does not have).
    """
    column = f"{where}: the column {_short(values.name)}"
    if isinstance(values.dtype, pd.CategoricalDtype):
        categories = normal_column(pd.Series(values.cat.categories, name=values.name), where)
        if len(categories) and categories.dtype == object:
            return values.cat.rename_categories(list(categories))
        values = values.astype(object)
    elif isinstance(values.dtype, pd.SparseDtype):
        values = values.astype(values.dtype.subtype)
    elif isinstance(values.dtype, pd.ArrowDtype | pd.StringDtype):
        values = values.astype(object)
    is_missing = values.isna()
    kind = values.dtype.kind
    if kind in "biu":
        return values if is_missing.any() else values.astype(getattr(values.dtype, "numpy_dtype", values.dtype))
    if kind == "f":
        is_single = str(values.dtype).lower() in ("float16", "float32")
        return values.astype(np.float32 if is_single else np.float64)
    if values.dtype != object:
        texts = values.map(str).astype(object).where(~is_missing, None)
        if not is_missing.all():
            _say_text(texts[~is_missing].iloc[0], column)
        return texts
    return _column_of_objects(values, ~is_missing, column)


def check_barcodes(index: pd.Index, where: str) -> None:
    """Raise InputError unless barcodes are distinct texts of one line."""
    if isinstance(index, pd.MultiIndex):
        raise InputError(f"{where}: the cells have names of {index.nlevels} levels; expected one barcode for each cell.")
    barcodes = index.astype(str)
    for is_wrong, problem in (
        (index.isna() | (barcodes == ""), "has no barcode"),
        (barcodes.str.contains("\n", regex=False), "has a barcode with a line break"),
    ):
        if is_wrong.any():
            row = int(np.flatnonzero(is_wrong)[0])
            raise InputError(f"{where}: the cell in row {row:,} (counting from 0, {index[row]!r}) {problem}. Rename it.")
    if barcodes.has_duplicates:
        raise InputError(
            f"{where}: the barcode {barcodes[barcodes.duplicated()][0]!r} appears more than once; barcodes must be unique."
        )
    _check_texts(barcodes, f"{where}: the barcodes of the cells")


def _column_of_objects(values: pd.Series, is_present: pd.Series, column: str) -> pd.Series:
    """Return objects as booleans, numbers or texts."""
    present = values[is_present].tolist()
    kind = pd.api.types.infer_dtype(present, skipna=False)
    if kind == "boolean":
        return _filled(values, is_present, present, "boolean")
    if kind == "integer":
        for dtype in ("Int64", "UInt64"):
            limits = np.iinfo(dtype.lower())
            if limits.min <= min(present) and max(present) <= limits.max:
                return _filled(values, is_present, present, dtype)
    if kind in ("floating", "mixed-integer-float") and all(float(value) == value for value in present):
        return _filled(values, is_present, present, "float64")
    texts = [str.__str__(value) if isinstance(value, str) else _text_of(value, column) for value in present]
    if kind not in ("string", "bytes", "empty"):
        _require_distinct(present, texts, column)
        _say_text(texts[0], column)
    _check_texts(texts, column)
    return _filled(values, is_present, texts, "object")


def _filled(values: pd.Series, is_present: pd.Series, present: list[Any], dtype: str) -> pd.Series:
    """Return a column like `values` with other values where some are present; its numpy type if none is missing."""
    filled = np.full(len(values), None, dtype=object)
    filled[is_present.to_numpy()] = present
    if is_present.all():
        dtype = {"boolean": "bool"}.get(dtype, dtype.lower())
    return pd.Series(filled, index=values.index, name=values.name).astype(pd.api.types.pandas_dtype(dtype))


def _text_of(value: Any, column: str) -> str:
    if isinstance(value, _WITH_TEXT):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass
    raise InputError(
        f"{column} has the {type(value).__name__} {_short(value)}; expected texts, numbers, booleans or dates. Write its values as "
        "texts, or drop the column."
    )


def _require_distinct(values: list[Any], texts: list[str], column: str) -> None:
    """Raise InputError if different values have the same text."""
    value_of_text: dict[str, Any] = {}
    for value, text in zip(values, texts, strict=True):
        other = value_of_text.setdefault(text, value)
        if other != value:
            raise InputError(
                f"{column} has {other!r} ({type(other).__name__}) and {value!r} ({type(value).__name__}), which are the same as "
                "text. Give all its values one type, or drop the column."
            )


def _check_texts(texts: Iterable[str], column: str) -> None:
    """Raise InputError for a text that Parquet or HDF5 cannot hold."""
    for text in dict.fromkeys(texts):
        if "\0" in text or (not text.isascii() and text.encode(errors="ignore").decode() != text):
            raise InputError(f"{column} has the text {_short(text)}, with characters that files cannot hold. Remove them.")


def _say_text(example: str, column: str) -> None:
    say(f"{column} is kept as text, such as {_short(example)}.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
