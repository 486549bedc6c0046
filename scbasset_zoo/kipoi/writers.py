"""Replacements for Kipoi's writers that work with numpy 2, zarr 3, many cells and any name of a group."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kipoi import writers
from kipoi_utils.external.flatten_json import flatten
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError

# Kipoi keeps chunks of 10,000 rows in memory. With many cells these are gigabytes.
CHUNK_BYTES = 1 << 24


def install_writers() -> None:
    """Make `kipoi.writers` use the writers of this module."""
    writers.HDF5BatchWriter, writers.get_writer = Hdf5Writer, _get_writer


class _CreatesArrays:
    """Create the arrays at the first batch, because Kipoi does so with names that numpy 2 no longer has."""

    def batch_write(self: Any, batch: Any) -> None:
        if self.first_pass:
            arrays = flatten(batch, separator="/")
            widest = max(values[:1].nbytes for values in arrays.values())
            self.chunk_size = min(self.chunk_size, max(1, CHUNK_BYTES // max(1, widest)))
            for name, values in arrays.items():
                self._create(name, values)
            self.first_pass = False
        super().batch_write(batch)  # type: ignore[misc]


class Hdf5Writer(_CreatesArrays, writers.HDF5BatchWriter):
    """Write batches to the datasets of an HDF5 file. The file must not have datasets yet."""

    def __init__(self, file_path: str, chunk_size: int = 10_000, compression: str = "gzip") -> None:
        super().__init__(file_path, chunk_size, compression)
        if len(self.f):
            self.f.close()
            raise InputError(f"{file_path} already has datasets. Choose another name, or remove it.")

    def _create(self, name: str, values: NDArray[Any]) -> None:
        dtype = self.string_type if values.dtype.kind in "US" else values.dtype
        chunks, shape = (self.chunk_size, *values.shape[1:]), (0, *values.shape[1:])
        self.f.create_dataset(
            name, shape=shape, maxshape=(None, *shape[1:]), dtype=dtype, chunks=chunks, compression=self.compression
        )


class ZarrWriter(_CreatesArrays, writers.ZarrBatchWriter):
    """Write batches to the arrays of a Zarr folder. The folder must not have arrays yet."""

    def __init__(self, file_path: str, chunk_size: int = 10_000) -> None:
        import zarr

        # A failed run may have left hidden files, which do not count.
        if any(not path.name.startswith(".") for path in Path(file_path).glob("*")):
            raise InputError(f"{file_path} already has arrays. Choose another name, or remove it.")
        # Kipoi's constructor needs zarr 2. Its other methods work with zarr 3.
        self.root = zarr.open_group(file_path, mode="a", zarr_format=2)
        self.chunk_size, self.first_pass, self.store = chunk_size, True, None
        self.write_buffer, self.write_buffer_size = None, 0

    def _create(self, name: str, values: NDArray[Any]) -> None:
        dtype = str if values.dtype.kind in "US" else values.dtype
        self.root.create_array(name, shape=(0, *values.shape[1:]), chunks=(self.chunk_size, *values.shape[1:]), dtype=dtype)


class NamingWriter(writers.BatchWriter):
    """Rename the groups in `preds` with :func:`column_names`, and pass the batches to another writer."""

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def batch_write(self, batch: Any) -> None:
        """Write one batch."""
        if isinstance(batch, dict) and isinstance(batch.get("preds"), dict):
            preds = batch["preds"]
            batch = {**batch, "preds": dict(zip(column_names(preds), preds.values(), strict=True))}
        self.writer.batch_write(batch)

    def close(self) -> None:
        """Write the remaining rows and close the file."""
        self.writer.close()


def column_names(groups: Iterable[str]) -> list[str]:
    """Return a column name for each group: not empty, not a path for HDF5 or Zarr, and different from all others.

    Parameters
    ----------
    groups : iterable of str
        The names of the groups, all different.

    Returns
    -------
    list of str
        `_` replaces each slash and backslash, and an empty name. A name that another group has gets one more `_`.
    """
    groups = list(groups)
    # In a path, a name of dots means the same folder or the one above.
    names = [re.sub(r"[/\\\0]|^\.+$|^$", "_", group) for group in groups]
    taken = {name for name, group in zip(names, groups, strict=True) if name == group}
    for position, group in enumerate(groups):
        if names[position] != group:
            while names[position] in taken:
                names[position] += "_"
            taken.add(names[position])
    return names


_kipoi_get_writer = writers.get_writer


def _get_writer(output_file: str, metadata_schema: Any = None, **kwargs: Any) -> Any:
    path = Path(output_file)
    if path.suffix == ".tsv" and path.exists() and path.stat().st_size:
        raise InputError(f"{output_file} already has data. Choose another name, or remove it.")
    writer = ZarrWriter(output_file) if path.suffix == ".zarr" else _kipoi_get_writer(output_file, metadata_schema, **kwargs)
    return writer and NamingWriter(writer)
