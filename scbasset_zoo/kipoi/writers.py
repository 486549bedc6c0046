"""Kipoi's writers of arrays, mended for numpy 2, zarr 3 and models of many cells."""

from __future__ import annotations

from typing import Any

from kipoi import writers
from kipoi_utils.external.flatten_json import flatten
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError

# Kipoi's 10,000 rows a chunk, which it also keeps in memory, would be gigabytes for a model of many cells.
CHUNK_BYTES = 1 << 24


def mend() -> None:
    """Let `kipoi.writers` use the writers of this module."""
    writers.HDF5BatchWriter, writers.get_writer = Hdf5Writer, _get_writer


class _OwnArrays:
    """Makes the arrays of the first batch itself: Kipoi asks there for names that numpy 2 no longer has."""

    def batch_write(self: Any, batch: Any) -> None:
        if self.first_pass:
            arrays = flatten(batch, separator="/")
            widest = max(values[:1].nbytes for values in arrays.values())
            self.chunk_size = min(self.chunk_size, max(1, CHUNK_BYTES // max(1, widest)))
            for name, values in arrays.items():
                self._create(name, values)
            self.first_pass = False
        super().batch_write(batch)  # type: ignore[misc]


class Hdf5Writer(_OwnArrays, writers.HDF5BatchWriter):
    """Batches as the datasets of an HDF5 file that has none yet."""

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


class ZarrWriter(_OwnArrays, writers.ZarrBatchWriter):
    """Batches as the arrays of a Zarr folder that has none yet."""

    def __init__(self, file_path: str, chunk_size: int = 10_000) -> None:
        import zarr

        # Kipoi's own constructor is written for zarr 2; its buffering is not.
        self.root = zarr.open_group(file_path, mode="a", zarr_format=2)
        if len(self.root):
            raise InputError(f"{file_path} already has arrays. Choose another name, or remove it.")
        self.chunk_size, self.first_pass, self.store = chunk_size, True, None
        self.write_buffer, self.write_buffer_size = None, 0

    def _create(self, name: str, values: NDArray[Any]) -> None:
        dtype = str if values.dtype.kind in "US" else values.dtype
        self.root.create_array(name, shape=(0, *values.shape[1:]), chunks=(self.chunk_size, *values.shape[1:]), dtype=dtype)


_kipoi_get_writer = writers.get_writer


def _get_writer(output_file: str, metadata_schema: Any = None, **kwargs: Any) -> Any:
    if output_file.endswith(".zarr"):
        return ZarrWriter(output_file)
    return _kipoi_get_writer(output_file, metadata_schema, **kwargs)
