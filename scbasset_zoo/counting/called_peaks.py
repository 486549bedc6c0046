"""Reads called peaks with their summits and scores: narrowPeak, broadPeak or BED."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.bed import is_narrow_peak, read_intervals
from scbasset_zoo.inputs.text_files import whole_number
from scbasset_zoo.wording import option

Score = Literal["qvalue", "pvalue", "signal", "score"]
# In the order in which they are preferred.
SCORES: tuple[Score, ...] = get_args(Score)
# Places of the columns, counting from 0. The p-value and q-value of these formats are -log10, so higher is better.
_OF_NARROW_AND_BROAD_PEAKS: dict[Score, int] = {"qvalue": 8, "pvalue": 7, "signal": 6, "score": 4}
_OF_BED: dict[Score, int] = {"score": 4}
# In files with titles.
_TITLES: dict[Score, str] = {"qvalue": "qvalue", "pvalue": "pvalue", "signal": "signalvalue", "score": "score"}
_SUMMIT_TITLES = ("peak", "summit")
_SUMMIT = 9
_NONE = ("", ".")


@dataclass(frozen=True)
class CalledPeaks:
    """The peaks of one file, in its order.

    Attributes
    ----------
    path : Path
    chroms : object array of shape (n,)
    summits : int64 array of shape (n,)
        The base, 0-based, where the signal is highest; the middle of the interval if the file does not say.
    scores : dict of str to float64 array of shape (n,)
        The score columns that the file has: qvalue, pvalue, signal, score. NaN where a line has none.
    lines : int64 array of shape (n,)
        The line of each peak.
    """

    path: Path
    chroms: NDArray[np.object_]
    summits: NDArray[np.int64]
    scores: dict[Score, NDArray[np.float64]]
    lines: NDArray[np.int64]

    def has_score(self, name: Score) -> bool:
        """Return whether every peak has this score, and some are above 0."""
        scores = self.scores.get(name)
        return scores is not None and not np.isnan(scores).any() and bool((scores > 0).any())

    def require_score(self, name: Score) -> None:
        """Raise InputError unless every peak has this score, and some are above 0."""
        if self.has_score(name):
            return
        if name in self.scores and (missing := np.flatnonzero(np.isnan(self.scores[name]))).size:
            where = f"{self.path}, line {self.lines[missing[0]]}: this peak has no {name}"
        else:
            where = f"{self.path} has no {name} above 0"
        others = [other for other in SCORES if self.has_score(other)]
        raise InputError(
            f"{where}. It has {', '.join(others) or 'no other score'}. Give another {option('score')}, which all files have."
        )


def read_called_peaks(path: str | os.PathLike[str]) -> CalledPeaks:
    """Read a narrowPeak, a broadPeak, or a BED such as MACS' summits.bed or 10x's peaks.bed; plain or gzip.

    The summit is column 10 of a narrowPeak. Where it is -1, and in other files, it is the middle, ``(start + end) // 2``. A score
    that is -1, a dot or empty is none. In a file with titles, the columns are found by those of a
    narrowPeak: score, signalValue, pValue, qValue and peak, which is the summit.

    Raises
    ------
    InputError
        As :func:`scbasset_zoo.inputs.bed.read_bed`; a line has fewer columns than the first, a score is no number or is
        negative, or a summit lies outside its interval. The message names the line.
    """
    columns = _Columns(Path(path))
    table, lines = read_intervals(path, columns.add)
    starts, ends = table["start"].to_numpy(), table["end"].to_numpy()
    offsets = np.frombuffer(columns.offsets, dtype=np.int64) if columns.offsets else np.full(len(table), -1)
    outside = np.flatnonzero((offsets < -1) | (offsets >= ends - starts))
    if len(outside):
        row = outside[0]
        raise InputError(
            f"{path}, line {lines[row]}: the summit (column {_SUMMIT + 1}) must be from 0 to {ends[row] - starts[row] - 1:,}, the "
            f"bp from the start of this peak, or -1; found {offsets[row]:,}."
        )
    return CalledPeaks(
        columns.path,
        table["chrom"].to_numpy(),
        np.where(offsets < 0, (starts + ends) // 2, starts + offsets),
        {name: np.frombuffer(values) for name, values in columns.scores.items()},
        lines,
    )


class _Columns:
    """Collects the scores and summits of the lines of a file. The first line tells which columns there are."""

    def __init__(self, path: Path):
        self.path = path
        self.scores: dict[Score, array[float]] = {}
        self.offsets: array[int] = array("q")
        self._positions: dict[Score, int] | None = None
        self._n_columns = 0
        self._summit = -1

    def add(self, number: int, columns: list[str], titles: Sequence[str]) -> None:
        if self._positions is None:
            self._summit = _SUMMIT if not titles and is_narrow_peak(columns) else -1
            if titles:
                lower = [title.lower() for title in titles]
                self._summit = next((lower.index(title) for title in _SUMMIT_TITLES if title in lower), -1)
            self._positions = _score_positions(columns, titles)
            self._n_columns = max([self._summit, *self._positions.values()]) + 1
            self.scores = {name: array("d") for name in self._positions}
        if len(columns) < self._n_columns:
            raise InputError(
                f"{self.path}, line {number}: expected {self._n_columns} columns, as in the first line; found {len(columns)}."
            )
        for name, at in self._positions.items():
            self.scores[name].append(self._score(number, columns[at], at))
        if self._summit >= 0:
            offset = whole_number(columns[self._summit])
            if offset is None:
                raise InputError(
                    f"{self.path}, line {number}: the summit (column {self._summit + 1}) must be a whole number; "
                    f"found {columns[self._summit][:80]!r}."
                )
            self.offsets.append(offset)

    def _score(self, number: int, text: str, at: int) -> float:
        """Return a score, or NaN if there is none."""
        try:
            score = float(text)
        except ValueError:
            score = math.nan
            if text in _NONE:
                return score
        if score == -1:
            return math.nan
        if not 0 <= score < math.inf:
            raise InputError(
                f"{self.path}, line {number}: the score (column {at + 1}) must be a number from 0, or -1 for none; found "
                f"{text[:80]!r}."
            )
        return score


def _score_positions(columns: list[str], titles: Sequence[str]) -> dict[Score, int]:
    if titles:
        lower = [title.lower() for title in titles]
        return {name: lower.index(title) for name, title in _TITLES.items() if title in lower}
    if is_narrow_peak(columns) or _is_broad_peak(columns):
        return _OF_NARROW_AND_BROAD_PEAKS
    return _OF_BED if len(columns) > _OF_BED["score"] else {}


def _is_broad_peak(columns: list[str]) -> bool:
    """Return whether a line is one of a broadPeak. A BED of nine columns has two places within the interval in columns 7 and 8."""
    if len(columns) != 9 or not is_narrow_peak([*columns, "-1"]):
        return False
    numbers = [whole_number(columns[at]) for at in (1, 6, 7, 2)]
    places = [number for number in numbers if number is not None]
    return len(places) < len(numbers) or places != sorted(places)
