"""Reads and writes the Parquet tables of a package; reading limits what an untrusted table can unpack to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.package.parquet_pages import LimitedPages

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MAX_COLUMNS = 1_000
# What a short text takes at most while a table becomes one of pandas.
BYTES_OF_TEXT = 200


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table in normal form as Parquet, without its index.

    Raises
    ------
    InputError
        :func:`read_table` would refuse the file.
    """
    table.to_parquet(path, index=False)
    try:
        read_table(path.read_bytes(), path)
    except PackageError as error:
        raise InputError(f"{path.name} cannot be written: {error}") from error


def read_table(raw: bytes, path: Path) -> pd.DataFrame:
    """Read a table from the bytes of the file at `path`.

    A small file needs little memory: the sizes of its pages are limited before they are unpacked, and repeated texts are kept
    once. Booleans and whole numbers of which some are missing have pandas' types boolean, Int64 and so on.

    Raises
    ------
    PackageError
        The bytes are not Parquet, a column has other values than texts, numbers, dates and booleans, or the table would unpack
        to much more than the size of the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(pa.BufferReader(raw))
        schema = footer.schema.to_arrow_schema()
        _check_columns(footer, schema, path)
        texts = [field.name for field in schema if _is_text(field.type)]
        pages = LimitedPages(raw, path)
        # Without buffers, pyarrow reads a whole column chunk at a time, as LimitedPages needs. A table within the budget fits in
        # one batch; without batches, pyarrow would allocate memory for as many values as the footer declares.
        file = pq.ParquetFile(pages, metadata=footer, read_dictionary=texts, buffer_size=0, pre_buffer=False)
        batches = file.iter_batches(pages.budget // 8, use_threads=False)
        arrow = pa.Table.from_batches(batches, file.schema_arrow)
        _check_texts(arrow, texts, pages.budget, path)
        table = arrow.to_pandas(ignore_metadata=True)
    except PackageError:
        raise
    except Exception as error:  # a damaged file can make pyarrow raise errors of many types
        raise PackageError(f"{path} cannot be read as Parquet: {error}") from error
    for name in texts:
        values = table[name].astype(object)
        table[name] = values.where(values.notna(), None)
    for field in schema:
        if field.name not in texts and arrow[field.name].null_count and (nullable := _nullable(field.type)) is not None:
            table[field.name] = arrow[field.name].to_pandas(types_mapper={field.type: nullable}.get)
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


def _check_texts(table: pa.Table, texts: list[str], budget: int, path: Path) -> None:
    """Raise PackageError if the distinct texts take more memory as Python objects than the table may unpack to."""
    n_distinct = sum(len(chunk.dictionary) for name in texts for chunk in table[name].chunks)
    if n_distinct * BYTES_OF_TEXT > budget:
        raise PackageError(
            f"{path} has {n_distinct:,} distinct texts, which take {n_distinct * BYTES_OF_TEXT:,} bytes; at most {budget:,} are "
            "read."
        )


def _nullable(kind: Any) -> Any:
    """Return the type of pandas that holds booleans or whole numbers exactly when some are missing; None for other types."""
    import pandas as pd
    from pyarrow import types

    if types.is_boolean(kind):
        return pd.BooleanDtype()
    # Arrow's uint64 is pandas' UInt64.
    return pd.api.types.pandas_dtype(str(kind).replace("int", "Int").replace("u", "U")) if types.is_integer(kind) else None


def _is_text(kind: Any) -> bool:
    from pyarrow import types as kinds

    return kinds.is_string(kind) or kinds.is_large_string(kind)
