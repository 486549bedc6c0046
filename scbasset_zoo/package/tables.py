"""The Parquet tables of a package: written plainly, and read only where what they unpack to is bounded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.package.parquet_pages import _Pages

if TYPE_CHECKING:
    import pandas as pd

MAX_COLUMNS = 1_000


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


def read_table(raw: bytes, path: Path) -> pd.DataFrame:
    """Read a table from the bytes of the file at `path`, which is named in errors.

    The pages are measured before they are unpacked, and repeated texts are kept once, so that a small file stays small.

    Raises
    ------
    PackageError
        It is no Parquet, has columns that are not plain, or would unpack to far more than its size.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(pa.BufferReader(raw))
        schema = footer.schema.to_arrow_schema()
        _check_columns(footer, schema, path)
        texts = [field.name for field in schema if _is_text(field.type)]
        pages = _Pages(raw, path)
        # Without buffers each read is that of a whole column chunk. In batches, of which all that may be read is one, since pyarrow
        # otherwise makes room for as many values as the footer says.
        file = pq.ParquetFile(pages, metadata=footer, read_dictionary=texts, buffer_size=0, pre_buffer=False)
        batches = file.iter_batches(pages.budget // 8, use_threads=False)
        table = pa.Table.from_batches(batches, file.schema_arrow).to_pandas(ignore_metadata=True)
    except PackageError:
        raise
    except Exception as error:  # a damaged file makes pyarrow raise nearly anything
        raise PackageError(f"{path} cannot be read as Parquet: {error}") from error
    for name in texts:
        values = table[name].astype(object)
        table[name] = values.where(values.notna(), None)
    return table


def _check_columns(footer: Any, schema: Any, path: Path) -> None:
    from pyarrow import types

    if len(set(schema.names)) != footer.num_columns or not 0 < footer.num_columns <= MAX_COLUMNS:
        raise PackageError(f"{path} must have 1 to {MAX_COLUMNS:,} columns of plain values, each with a name of its own.")
    plain = (types.is_boolean, types.is_integer, types.is_floating, types.is_temporal, types.is_null, _is_text)
    for field in schema:
        kind = field.type.value_type if types.is_dictionary(field.type) else field.type
        if not any(is_kind(kind) for is_kind in plain):
            raise PackageError(
                f"{path}: the column {field.name!r} holds {kind}; only texts, numbers, dates and booleans are allowed."
            )


def _is_text(kind: Any) -> bool:
    from pyarrow import types as kinds

    return kinds.is_string(kind) or kinds.is_large_string(kind)
