"""Writes tracks to a folder: a bigWig file for each, and a table of their names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import new_folder
from scbasset_zoo.inputs.windows import Windows
from scbasset_zoo.progress import progress
from scbasset_zoo.tracks.file_names import file_names
from scbasset_zoo.tracks.placement import Placement, place
from scbasset_zoo.tracks.values_on_disk import ValuesOnDisk
from scbasset_zoo.wording import install_command, option

Array = NDArray[np.float32]

MOST_TRACKS = 200
TABLE = "tracks.tsv"
SUFFIX = ".bw"
# Peaks that are handed to the library at once.
_PIECES = 100_000


class BigWigFolder:
    """A folder of bigWig files, one for each track. Whether it can be written is checked before the work.

    Parameters
    ----------
    names : sequence of str
        Names of the tracks, such as those of groups.
    windows : Windows
        Regions of a genome. The files have the names of its chromosomes.
    length : int, optional
        Length of the windows, in bp, if each of their bases has a value. Without it, each peak has one.
    quiet : bool
        Show no progress.

    Raises
    ------
    InputError
        The windows have no coordinates, there are more than 200 tracks, or the library that writes bigWig is not installed.
    """

    def __init__(self, names: Sequence[str], windows: Windows, length: int | None = None, *, quiet: bool = False) -> None:
        if find_spec("pybigtools") is None:
            raise InputError(f"{option('bigwig')} needs pybigtools: run {install_command('tracks')}.")
        if len(names) > MOST_TRACKS:
            raise InputError(
                f"{option('bigwig')} would write {len(names):,} tracks, one for each cell or group; at most {MOST_TRACKS} are "
                f"written. Group the cells with {option('group_by')}, or choose some."
            )
        self.names, self._length, self._quiet = list(names), length, quiet
        self._n_regions = len(windows)
        self._placement = place(windows, length)

    @contextlib.contextmanager
    def written(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[ValuesOnDisk]:
        """Yield what takes the values, region by region. The folder appears with all files when the block has succeeded.

        Parameters
        ----------
        folder : path
        overwrite : bool
            Replace `folder` if it exists.
        """
        with new_folder(folder, overwrite=overwrite) as partial:
            shape = (len(self.names), self._n_regions, self._length or 1)
            with ValuesOnDisk(shape, partial) as values:
                yield values
                files = file_names(self.names, SUFFIX)
                with progress("writing bigWig files", len(files), quiet=self._quiet) as advance:
                    for track, file in enumerate(files):
                        write_bigwig(partial / file, self._placement, self._intervals(values, track))
                        advance(1)
            pd.DataFrame({"file": files, "name": self.names}).to_csv(partial / TABLE, sep="\t", index=False)

    def _intervals(self, values: ValuesOnDisk, track: int) -> Iterator[tuple[str, int, int, float]]:
        """Yield the intervals of a track in order; NaN has none."""
        pieces = self._placement.pieces
        of_peaks = None if self._length else values.read(track, slice(0, self._n_regions))[:, 0]
        for first in range(0, len(pieces), _PIECES):
            part = pieces.iloc[first : first + _PIECES]
            chroms, starts, ends, regions = (part[name].to_numpy() for name in ("chrom", "start", "end", "region"))
            if of_peaks is not None:
                yield from _without_nan(chroms.tolist(), starts, ends, of_peaks[regions])
                continue
            for chrom, start, end, region in zip(chroms, starts, ends, regions, strict=True):
                offset = start - self._placement.starts[region]
                of_bases = values.read(track, slice(region, region + 1))[0, offset : offset + end - start]
                bases = np.arange(start, end)
                yield from _without_nan([chrom] * len(bases), bases, bases + 1, of_bases)


def tracks_in(folder: Path) -> Collection[str] | None:
    """Return the files of a folder of tracks, or None if it is none: what may be replaced."""
    try:
        files = pd.read_csv(folder / TABLE, sep="\t", dtype=str)["file"]
    except (OSError, KeyError, ValueError):
        return None
    return {TABLE, *files.dropna()}


def write_bigwig(path: Path, placement: Placement, intervals: Iterator[tuple[str, int, int, float]]) -> None:
    """Write a bigWig file from intervals in order, in constant memory.

    Raises
    ------
    InputError
        The library did not write all intervals, or there is none.
    OSError
        The disk is full.
    """
    import pybigtools

    source = _Intervals(intervals)
    sizes = dict(placement.chromosome_sizes)
    failure: BaseException | None = None
    try:
        pybigtools.open(str(path), "w").write(sizes, source)
    except BaseException as error:
        # A panic of the library is not an Exception.
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        failure = error
    # The library prints errors of the iterator and some of its own, and then returns as if all was written.
    if source.error is not None:
        raise source.error
    if not source.n_bases:
        raise InputError(f"{path.name}: the track has no value.")
    if failure is not None or _n_bases(path) != source.n_bases:
        with path.open("ab") as file:  # a full disk raises its error here
            file.write(b"\0" * (1 << 16))
            file.flush()
            os.fsync(file.fileno())
        raise InputError(f"{path.name} could not be written as bigWig: {failure or 'intervals are missing'}.")


class _Intervals:
    """Passes intervals on; keeps the first error, and counts the bases."""

    def __init__(self, intervals: Iterator[tuple[str, int, int, float]]) -> None:
        self._intervals = intervals
        self.error: BaseException | None = None
        self.n_bases = 0

    def __iter__(self) -> _Intervals:
        return self

    def __next__(self) -> tuple[str, int, int, float]:
        try:
            interval = next(self._intervals)
        except StopIteration:
            raise
        except BaseException as error:
            self.error = error
            raise StopIteration from None
        self.n_bases += interval[2] - interval[1]
        return interval


def _without_nan(chroms: list[str], starts: Any, ends: Any, values: Array) -> Iterator[tuple[str, int, int, float]]:
    intervals = zip(chroms, starts.tolist(), ends.tolist(), values.tolist(), strict=True)
    return (each for each in intervals if each[3] == each[3])


def _n_bases(path: Path) -> int:
    import pybigtools

    try:
        return int(pybigtools.open(str(path)).info()["summary"]["basesCovered"])
    except Exception:  # the library raises many kinds of errors on a damaged file
        return -1
