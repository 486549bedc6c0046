"""Write HDF5 files so that a full disk is an error of Python: HDF5 itself crashes when it cannot write while it closes a file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def new_hdf5(path: str | os.PathLike[str]) -> Iterator[Hdf5Target]:
    """Yield a new file to which h5py, h5netcdf and xarray can write HDF5.

    Raises
    ------
    OSError
        The disk is full, or the file cannot be written for another reason.
    """
    with open(path, "w+b", buffering=0) as raw:
        target = Hdf5Target(raw)
        try:
            yield target
        except Exception as error:
            # After a write was lost, HDF5 reads what is not there; its errors are those of the lost write.
            raise (target.error or error) from None
        target.check()


class Hdf5Target:
    """A file for HDF5 that takes all writes. It keeps the first error, and leaves out the writes after it.

    Parameters
    ----------
    raw : file
        Open for reading and writing, without a buffer.

    Attributes
    ----------
    error : OSError or None
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.error: OSError | None = None

    def check(self) -> None:
        """Raise the first error of a write, if there was one."""
        if self.error is not None:
            raise self.error

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        try:
            done = 0
            while self.error is None and done < len(view):
                done += self._raw.write(view[done:])
        except OSError as error:
            self.error = error
        return len(view)

    def readinto(self, buffer: Any) -> int:
        return int(self._raw.readinto(buffer))

    def read(self, n: int = -1) -> bytes:
        return bytes(self._raw.read(n))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._raw.seek(offset, whence))

    def tell(self) -> int:
        return int(self._raw.tell())

    def truncate(self, size: int | None = None) -> int:
        try:
            if self.error is None:
                return int(self._raw.truncate(size))
        except OSError as error:
            self.error = error
        return size or 0

    def flush(self) -> None:
        """Nothing waits in a buffer."""
