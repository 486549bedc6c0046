"""NumPy .npy files that are written piece by piece."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 22  # bytes


def write_npy_header(file: BinaryIO, dtype: str, shape: tuple[int, ...]) -> None:
    """Write the header of an .npy file.

    NumPy pads headers, so a header written again with a longer first axis has the same size.
    """
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})


def new_mapped_npy(path: Path, n: int) -> NDArray[np.int32]:
    """Make an int32 file of `n` values and map it into memory.

    The disk space is reserved first, because writing to a memory map on a full disk kills the process.
    """
    with path.open("wb") as file:
        write_npy_header(file, "<i4", (n,))
        file.flush()
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), file.tell(), 4 * n)
        else:
            for first in range(0, 4 * n, PIECE):
                file.write(bytes(min(PIECE, 4 * n - first)))
    mapped: NDArray[np.int32] = np.load(path, mmap_mode="r+").view(np.ndarray)
    return mapped
