"""Brings a column of a table into a type that Parquet, .h5ad and .zarr can hold, with missing values kept."""

from __future__ import annotations

import datetime
import enum
import numbers
import uuid
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from scbasset_zoo.errors import InputError
from scbasset_zoo.progress import say

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


def normal_values(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return a table with each column as of :func:`normal_column`, under the same name."""
    columns = [normal_column(values, where) for _, values in table.items()]
    return pd.concat(columns, axis=1) if columns else table


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
    column = f"{where}: the column {short(values.name)}"
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


def check_texts(texts: Iterable[str], column: str) -> None:
    """Raise InputError for a text that Parquet or HDF5 cannot hold."""
    for text in dict.fromkeys(texts):
        if "\0" in text or (not text.isascii() and text.encode(errors="ignore").decode() != text):
            raise InputError(f"{column} has the text {short(text)}, with characters that files cannot hold. Remove them.")


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


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
    check_texts(texts, column)
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
        f"{column} has the {type(value).__name__} {short(value)}; expected texts, numbers, booleans or dates. Write its values as "
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


def _say_text(example: str, column: str) -> None:
    say(f"{column} is kept as text, such as {short(example)}.")
