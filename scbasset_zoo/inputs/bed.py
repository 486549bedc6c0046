"""Read the intervals of a BED file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.peaks import checked_intervals, peak_names
from scbasset_zoo.inputs.text_files import INTERVAL_COMMENTS, columns_of, text_lines, whole_number
from scbasset_zoo.progress import say

_TITLES = {
    "chrom": ("chrom", "chr", "chromosome", "seqnames", "seqname"),
    "start": ("start", "chromstart", "begin"),
    "end": ("end", "chromend", "stop"),
    "name": ("name", "peak", "peak_id", "id"),
    "width": ("width", "length"),
}


def read_bed(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the intervals of a BED file (plain or gzip), in the file's order. They may be unsorted and may repeat.

    Columns are separated by tabs or blanks. The first line may hold their titles. If it does, chrom, start, end and name are
    found by title, and row names that R wrote are left out. Summits of a narrowPeak are not used, and a line says so.

    Returns
    -------
    DataFrame
        chrom, start, end (0-based, half-open), and name (column 4, or chrom:start-end if it is missing or a dot).

    Raises
    ------
    InputError
        The file is missing, of another format or has no intervals, a line has fewer than three columns, an interval is
        impossible, or a column of widths shows that starts count from 1. The message names the line.
    """
    summits = _Summits()
    table, _ = read_intervals(path, summits.see)
    if summits.n_off_centre:
        say(
            f"{path} is a narrowPeak with summits: {summits.n_off_centre:,} of {len(table):,} are not in the middle of their peak. "
            "The summits are not used: each peak is the whole interval, with its middle as the centre. `scbasset-zoo merge-peaks` "
            "makes peaks of one width around the summits."
        )
    return table


def read_intervals(
    path: str | os.PathLike[str], each: Callable[[int, list[str], list[str]], None]
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Read the intervals of a BED file, and give all columns of each line to a function.

    Parameters
    ----------
    path : path
    each : callable
        ``each(number, columns, titles)`` is called for each interval: the number of its line in the file, its columns, and
        the titles of the columns, which are empty if the file has none.

    Returns
    -------
    table : DataFrame of n rows
        As :func:`read_bed` returns it.
    numbers : int64 array of shape (n,)
        The number of each interval's line.

    Raises
    ------
    InputError
        As :func:`read_bed`.
    """
    path = Path(path)
    layout: _Layout | None = None
    numbers: list[int] = []
    rows: list[tuple[str | int, ...]] = []
    for number, line in text_lines(path, INTERVAL_COMMENTS):
        columns = columns_of(line)
        if layout is None:
            layout = _layout(columns)
            if layout.titles:
                continue
        if columns == layout.titles:
            continue
        row = layout.row(columns)
        if row is None or (not rows and not all(isinstance(number, int) for number in row[1:3])):
            hint = _hint(line, columns)
            if row is None or hint:
                raise InputError(f"{path}, line {number}: expected chrom, start and end, found {line[:80]!r}.{hint}")
        numbers.append(number)
        rows.append(row)
        each(number, columns[layout.n_row_names(columns) :], layout.titles)
    if not rows:
        raise InputError(f"{path} has no intervals. Expected a BED file with chrom, start and end.")
    table = pd.DataFrame(rows, columns=list(_TITLES), dtype=object)
    names, widths = table.pop("name").to_numpy(), pd.to_numeric(table.pop("width"), errors="coerce").to_numpy()
    table = checked_intervals(table, str(path), lambda row: f"line {numbers[row]}")
    if (widths == (table["end"] - table["start"]).to_numpy() + 1).all():
        raise InputError(
            f"{path}, line {numbers[0]}: the starts count from 1, as the column of widths shows; in a BED they count from 0. "
            "Subtract 1 from the starts; of MACS, give the .narrowPeak or .broadPeak that it writes beside the .xls."
        )
    unnamed = (names == "") | (names == ".")
    names[unnamed] = peak_names(table[unnamed])
    table["name"] = names
    return table, np.array(numbers)


class _Summits:
    """Counts the lines of a narrowPeak whose summit is not in the middle of the peak."""

    def __init__(self) -> None:
        self.n_off_centre = 0

    def see(self, number: int, columns: list[str], titles: list[str]) -> None:
        if titles or not is_narrow_peak(columns):
            return
        start, end, summit = whole_number(columns[1]), whole_number(columns[2]), whole_number(columns[9])
        if start is not None and end is not None and summit is not None and summit >= 0:
            self.n_off_centre += start + summit != (start + end) // 2


def is_narrow_peak(columns: list[str]) -> bool:
    """Return whether a line is one of a narrowPeak: chrom, start, end, name, score, strand, signal, p-value, q-value, summit."""
    if len(columns) != 10 or columns[5] not in ("+", "-", "."):
        return False
    try:
        list(map(float, columns[6:9]))
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class _Layout:
    """The titles of the columns, if there are any, and the positions of chrom, start, end, name and width; -1 for none."""

    titles: list[str]
    positions: tuple[int, ...]

    def row(self, columns: list[str]) -> tuple[str | int, ...] | None:
        """Return chrom, start, end, name and width of a line; None if it has too few columns."""
        shift = self.n_row_names(columns)
        if max(self.positions[:3]) + shift >= len(columns):
            return None
        chrom, start, end, name, width = (columns[at + shift] if 0 <= at < len(columns) - shift else "" for at in self.positions)
        return chrom, _number(start), _number(end), name, width

    def n_row_names(self, columns: list[str]) -> int:
        """Return 1 if a line begins with a row name, which R writes without a title above it, else 0."""
        return int(len(columns) == len(self.titles) + 1) if self.titles else 0


def _layout(columns: list[str]) -> _Layout:
    """Find the columns by the titles in the first line, or take them in the order of BED if it has no titles."""
    lower = [column.lower() for column in columns]
    positions = tuple(next((lower.index(title) for title in titles if title in lower), -1) for titles in _TITLES.values())
    return _Layout(columns, positions) if min(positions[:3]) >= 0 else _Layout([], (0, 1, 2, 3, -1))


def _number(text: str) -> int | str:
    number = whole_number(text)
    return text if number is None else number


def _hint(line: str, columns: list[str]) -> str:
    """Say which format a line has that is not a line of a BED; empty if it is not known."""
    if line.startswith(">"):
        return " It looks like a FASTA file."
    if re.fullmatch(r"\S+:[\d,]+-[\d,]+", line):
        return " It looks like the name of a region: write its chromosome, start and end as columns."
    if "\t" not in line and re.search(r"[,;]\s*\d|^\w+[,;]\w+[,;]", line):
        return " It looks like CSV: separate the columns by tabs, with chrom, start and end first, or with these titles."
    if len(columns) > 4 and all(isinstance(_number(column), int) for column in columns[3:5]):
        return " It looks like GTF or GFF: write chromosome, start - 1 and end as columns."
    if len(columns) > 4 and isinstance(_number(columns[1]), int) and re.fullmatch("[ACGTN]+", columns[3]):
        return " It looks like VCF: write chromosome, position - 1 and end as columns."
    if len(columns) > 2 and columns[1][:1].isalpha() and columns[2][:1].isalpha():
        return " If it is a line of titles, name the columns chrom, start and end, or remove the line."
    return ""
