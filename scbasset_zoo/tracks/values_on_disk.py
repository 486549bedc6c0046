"""Keeps the values of tracks in a temporary file: they come region by region, and are needed track by track."""

from __future__ import annotations

import os
import tempfile

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class ValuesOnDisk:
    """Values of tracks x regions, or of tracks x regions x bases, float32, in a file without a name.

    Parameters
    ----------
    shape : (n_tracks, n_regions, n_values)
        `n_values` is the number of values that each region has in a track.
    folder : path
        Where the file is. It is gone when the object is.
    """

    def __init__(self, shape: tuple[int, int, int], folder: str | os.PathLike[str]) -> None:
        self._shape = shape
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, closed by __exit__

    def __enter__(self) -> ValuesOnDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, tracks: slice, regions: slice, values: Array) -> None:
        """Keep the values (tracks, regions) or (tracks, regions, n_values) of consecutive tracks and regions."""
        for track, of_track in zip(range(tracks.start, tracks.stop), values, strict=True):
            self._file.seek(self._offset(track, regions.start))
            self._file.write(np.ascontiguousarray(of_track, dtype=np.float32).tobytes())

    def read(self, track: int, regions: slice) -> Array:
        """Return the values (regions, n_values) of one track."""
        n_regions = regions.stop - regions.start
        self._file.seek(self._offset(track, regions.start))
        data = self._file.read(n_regions * self._shape[2] * 4)
        return np.frombuffer(data, np.float32).reshape(n_regions, self._shape[2])

    def _offset(self, track: int, region: int) -> int:
        return (track * self._shape[1] + region) * self._shape[2] * 4
