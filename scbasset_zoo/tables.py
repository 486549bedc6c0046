"""The Parquet tables of a package: written plainly, and read only where what they unpack to is bounded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scbasset_zoo.errors import InputError, PackageError

if TYPE_CHECKING:
    import pandas as pd

MAX_COLUMNS = 1_000
MIN_BUDGET = 64 * 2**20
MAX_EXPANSION = 200


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table without its index.

    Raises
    ------
    InputError
        A column has values of several types.
    """
    import pyarrow as pa

    try:
        table.to_parquet(path, index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"{path.name} cannot be written: {error}. Give each column one plain type.") from error


def read_table(path: Path) -> pd.DataFrame:
    """Read a table; its footer is looked at first, and repeated texts are kept once, so that a small file stays small.

    Raises
    ------
    PackageError
        It is no Parquet, has columns that are not plain, or would unpack to far more than its size.
    """
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
        schema = footer.schema.to_arrow_schema()
        _check_footer(footer, schema, path)
        texts = [field.name for field in schema if _is_text(field.type)]
        table = pq.read_table(path, read_dictionary=texts, use_threads=False).to_pandas(ignore_metadata=True)
    except PackageError:
        raise
    except Exception as error:  # a damaged file makes pyarrow raise nearly anything
        raise PackageError(f"{path} cannot be read as Parquet: {error}") from error
    for name in texts:
        values = table[name].astype(object)
        table[name] = values.where(values.notna(), None)
    return table


def _check_footer(footer: Any, schema: Any, path: Path) -> None:
    from pyarrow import types

    if len(set(schema.names)) != footer.num_columns or footer.num_columns > MAX_COLUMNS:
        raise PackageError(f"{path} must have at most {MAX_COLUMNS:,} columns of plain values, each with a name of its own.")
    plain = (types.is_boolean, types.is_integer, types.is_floating, types.is_temporal, types.is_null, _is_text)
    for field in schema:
        kind = field.type.value_type if types.is_dictionary(field.type) else field.type
        if not any(is_kind(kind) for is_kind in plain):
            raise PackageError(
                f"{path}: the column {field.name!r} holds {kind}; only texts, numbers, dates and booleans are allowed."
            )
    # Columns are not looked at one by one: pyarrow aborts the process on some damaged ones.
    declared = sum(footer.row_group(i).total_byte_size for i in range(footer.num_row_groups))
    unpacked = max(declared, footer.num_rows * footer.num_columns * 8)
    budget = MIN_BUDGET + MAX_EXPANSION * path.stat().st_size
    if unpacked > budget:
        raise PackageError(
            f"{path} has {path.stat().st_size:,} bytes and would unpack to {unpacked:,} or more ({footer.num_rows:,} rows, "
            f"{footer.num_columns:,} columns); at most {budget:,} are read."
        )


def _is_text(kind: Any) -> bool:
    from pyarrow import types as kinds

    return kinds.is_string(kind) or kinds.is_large_string(kind)
