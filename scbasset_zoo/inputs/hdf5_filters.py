"""Compression of HDF5 files by filters that h5py does not have, such as Blosc, LZ4 and Zstandard."""

from __future__ import annotations

import contextlib
import importlib


def load_hdf5_filters() -> None:
    """Add the filters of hdf5plugin to h5py, if hdf5plugin is installed: its import does this."""
    with contextlib.suppress(ImportError):
        importlib.import_module("hdf5plugin")
