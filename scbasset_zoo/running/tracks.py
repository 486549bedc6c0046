"""The tracks of a result: stated before the work, written to bigWig files after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scbasset_zoo.errors import PluginError
from scbasset_zoo.extend.tracks import Tracks
from scbasset_zoo.tracks.bigwig import BigWigFolder
from scbasset_zoo.tracks.placement import genome_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scbasset_zoo.extend.analysis import Analysis, Result

# Values that are read from the result at once: 16 MiB of float32.
_VALUES = 1 << 22
# Peaks that are read at once. Chunks of X have as many.
_MOST_PEAKS = 256


class StatedTracks:
    """The tracks that an analysis states before the work, and where they are written.

    Parameters
    ----------
    analysis : Analysis
    inputs, options : object
        The inputs of the first model, and the options of the analysis.
    folder : Path, optional
        Folder for the bigWig files.
    quiet : bool
        Show no progress.

    Attributes
    ----------
    tracks : Tracks

    Raises
    ------
    InputError
        The analysis has no tracks, or not with these inputs and options, or the bigWig files cannot be written.
    """

    def __init__(self, analysis: Analysis, inputs: Any, options: Any, folder: Path | None, *, quiet: bool = False) -> None:
        self.tracks = analysis.tracks(inputs, options)
        genome_of(self.tracks.windows)
        self._folder, self._target = folder, None
        if folder is not None:
            self._target = BigWigFolder(self.tracks.names, self.tracks.windows, self.tracks.length, quiet=quiet)

    def write(self, result: Result, *, overwrite: bool = False) -> None:
        """Write the bigWig files of a result, if a folder is given. Values are read for a few regions at a time."""
        if self._folder is None or self._target is None:
            return
        with self._target.written(self._folder, overwrite=overwrite) as values:
            for regions in _parts(self.tracks):
                of_tracks = np.moveaxis(values_of(self.tracks, result, regions), -1, 0)
                values.write(slice(0, len(self.tracks.names)), regions, of_tracks)


def values_of(tracks: Tracks, result: Result, regions: slice) -> NDArray[np.float32]:
    """Return the values of regions, (regions, tracks) or (regions, length, tracks); raise PluginError for other shapes."""
    values: Any = np.asarray(tracks.values(result, regions.start, regions.stop), dtype=np.float32)
    length = () if tracks.length is None else (tracks.length,)
    expected = (regions.stop - regions.start, *length, len(tracks.names))
    if values.shape != expected:
        raise PluginError(f"Tracks.values must return an array of shape {expected}; found {values.shape}.")
    return values


def _parts(tracks: Tracks) -> Iterator[slice]:
    step = _VALUES // (len(tracks.names) * (tracks.length or 1))
    step = max(1, min(step, _MOST_PEAKS))
    for first in range(0, len(tracks.windows), step):
        yield slice(first, min(first + step, len(tracks.windows)))
