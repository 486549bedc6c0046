"""Peaks as tables: from names, columns of `.var` and BED files, every interval checked."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, readable

_CHROM = ("chr", "chrom", "chromosome", "seqnames")
_PEAK_NAMES = (r"^(.+):(-?\d+)-(-?\d+)$", r"^(.*[^-_:])[-_:](\d+)[-_](\d+)$")


def peaks_from_var(var: pd.DataFrame, where: str, rows: NDArray[np.int64] | None = None) -> pd.DataFrame:
    """Peaks of a table such as `.var`: from its columns, or else from its row names.

    Parameters
    ----------
    var : DataFrame
        Columns chr, chrom, chromosome or seqnames, and start, end (0-based, half-open); or row names such as
        chr1:100-600, chr1-100-600, chr1_100_600.
    where : str
        What it is called in messages.
    rows : integers, optional
        The row in the file of each row of `var`, where those differ.

    Returns
    -------
    DataFrame
        name, chrom, start, end, and the other columns; a row for each row of `var`, its index the row in the file.

    Raises
    ------
    InputError
        Neither columns nor names tell the peaks, or an interval is impossible: the message has the row.
    """
    columns = _interval_columns(var)
    names = var.index.astype(str).to_numpy(dtype=object)
    rows = np.arange(len(var)) if rows is None else rows

    def row_name(row: int) -> str:
        return f"row {rows[row]} (counting from 0, {names[row]!r})"

    if columns:
        table = pd.DataFrame({to: var[column].to_numpy() for to, column in zip(("chrom", "start", "end"), columns, strict=True)})
    else:
        found = _parse_names(names)
        wrong = found["chrom"].isna().to_numpy()
        if wrong.any():
            has, row = ", ".join(map(str, var.columns)) or "none", int(np.flatnonzero(wrong)[0])
            raise InputError(
                f"{where} does not say where its peaks are: it has no columns chr, start and end (it has {has}), and "
                f"{row_name(row)} is not named like chr1:100-600, chr1-100-600 or chr1_100_600. Add the columns."
            )
        table = found
    table = _checked_intervals(table, where, row_name)
    table.insert(0, "name", names)
    rest = var.drop(columns=list(columns or ())).reset_index(drop=True)
    rest.columns = [f"var_{column}" if column in table.columns else str(column) for column in rest.columns]
    return pd.concat([table, rest], axis=1).set_axis(rows, axis=0)


def has_intervals(table: pd.DataFrame) -> bool:
    """Whether a table looks as if its rows were peaks, by its columns or the first of its row names."""
    return _interval_columns(table) is not None or bool(_parse_names(table.index.to_numpy()[:5])["chrom"].notna().all())


def read_bed(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Intervals of a BED file (plain or gzip), in the file's order; they need be neither sorted nor distinct.

    Returns
    -------
    DataFrame
        chrom, start, end (0-based, half-open), name (column 4, or else chrom:start-end).

    Raises
    ------
    InputError
        No such file, no interval in it, fewer than three columns, or an impossible interval: the message has the line.
    """
    path = Path(path)
    lines, fields = [], []
    with readable(str(path)), open_text(path) as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\r\n")
            if not line.strip() or line.startswith(("#", "track", "browser")):
                continue
            columns = line.split("\t") if "\t" in line else line.split()
            if len(columns) < 3:
                raise InputError(f"{path}, line {number}: expected chrom, start and end, found {line[:80]!r}.")
            lines.append(number)
            fields.append([*columns[:3], columns[3] if len(columns) > 3 else ""])
    if not fields:
        raise InputError(f"{path} has no intervals. Expected a BED file with chrom, start and end.")
    table = pd.DataFrame(fields, columns=["chrom", "start", "end", "name"], dtype=object)
    names = table.pop("name").to_numpy()
    table = _checked_intervals(table, str(path), lambda row: f"line {lines[row]}")
    table["name"] = np.where(names == "", peak_names(table), names)
    return table


def peak_names(peaks: pd.DataFrame) -> NDArray[np.object_]:
    """Names as chr1:100-600."""
    names: NDArray[np.object_] = (
        peaks["chrom"].astype(str) + ":" + peaks["start"].astype(str) + "-" + peaks["end"].astype(str)
    ).to_numpy(dtype=object)
    return names


def check_order(peaks: pd.DataFrame, where: str) -> None:
    """Refuse peaks that are not grouped by chromosome with rising starts; the chromosomes' own order is free."""
    chrom, start = pd.factorize(peaks["chrom"])[0], peaks["start"].to_numpy()
    new = np.r_[True, chrom[1:] != chrom[:-1]]
    # factorize numbers chromosomes by first appearance, so a returning chromosome has a lower number than those before.
    wrong = np.r_[False, (chrom[1:] < np.maximum.accumulate(chrom)[:-1]) | (~new[1:] & (np.diff(start) < 0))]
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        one, other = peak_names(peaks.iloc[at - 1 : at + 1])
        raise InputError(
            f"{where}: the peaks are not sorted: {other} (row {peaks.index[at]}, counting from 0) comes after {one}. Pass "
            "--sort-peaks (sort_peaks=True) to sort them, or sort the matrix."
        )


def _interval_columns(var: pd.DataFrame) -> tuple[Any, Any, Any] | None:
    by_name = {str(column).lower(): column for column in reversed(var.columns)}
    chrom = next((by_name[name] for name in _CHROM if name in by_name), None)
    return None if chrom is None or not {"start", "end"} <= set(by_name) else (chrom, by_name["start"], by_name["end"])


def _parse_names(names: NDArray[Any]) -> pd.DataFrame:
    series = pd.Series(names, dtype=object).astype(str)
    columns = {0: "chrom", 1: "start", 2: "end"}
    found = series.str.extract(_PEAK_NAMES[0]).rename(columns=columns)
    rest = found["chrom"].isna()
    if rest.any():
        found.loc[rest] = series[rest].str.extract(_PEAK_NAMES[1]).rename(columns=columns)
    return found


def _checked_intervals(table: pd.DataFrame, where: str, row_name: Callable[[int], str]) -> pd.DataFrame:
    """chrom as str and start, end as int64; InputError with the first impossible row."""

    def refuse(wrong: NDArray[np.bool_], problem: str) -> None:
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            found = " ".join(str(value) for value in table.iloc[row])
            raise InputError(f"{where}, {row_name(row)}: {problem}; found {found!r}.")

    refuse(table["chrom"].isna().to_numpy() | (table["chrom"].astype(str) == "").to_numpy(), "the chromosome has no name")
    numbers = {}
    for column in ("start", "end"):
        number = pd.to_numeric(table[column].astype(object), errors="coerce").to_numpy(dtype=np.float64)
        refuse(~np.isfinite(number) | (number != np.round(number)), f"the {column} must be a whole number")
        numbers[column] = number.astype(np.int64)
    start, end = numbers["start"], numbers["end"]
    refuse(start < 0, "the start must not be negative")
    refuse(end <= start, "the end must be greater than the start")
    return pd.DataFrame({"chrom": table["chrom"].astype(str).to_numpy(dtype=object), "start": start, "end": end})


def open_text(path: Path) -> io.TextIOBase:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rt") if packed else path.open()
