"""Tables of peaks: from the columns or row names of a table such as `.var`, with every interval checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.column_names import distinct_names
from scbasset_zoo.inputs.normal_columns import normal_values
from scbasset_zoo.wording import option

_CHROM_COLUMNS = ("chr", "chrom", "chromosome", "seqnames")
_PEAK_NAMES = (r"^(.+):(-?\d[\d,]*)-(-?\d[\d,]*)$", r"^(.*[^-_:])[-_:](\d+)[-_](\d+)$")


def peaks_from_var(var: pd.DataFrame, where: str, rows: NDArray[np.int64] | None = None) -> pd.DataFrame:
    """Read peaks from the columns of a table such as `.var`, or else from its row names.

    Parameters
    ----------
    var : DataFrame
        Has the columns chr, chrom, chromosome or seqnames, and start, end (0-based, half-open); or row names such as
        chr1:100-600, chr1-100-600, chr1_100_600.
    where : str
        Name of the table in messages.
    rows : integers, optional
        For each row of `var`, its row in the file. By default they are the same.

    Returns
    -------
    DataFrame
        name, chrom, start, end, and the other columns of `var`. One row for each row of `var`, indexed by the row in the file.

    Raises
    ------
    InputError
        Neither columns nor names give intervals, an interval is impossible, or a name is another interval than the columns
        of its row: the message names the row.
    """
    columns = _interval_columns(var)
    names = var.index.astype(str).to_numpy(dtype=object)
    rows = np.arange(len(var)) if rows is None else rows

    def row_name(row: int) -> str:
        return f"row {rows[row]} (counting from 0, {names[row]!r})"

    if columns:
        table = pd.DataFrame({to: var[column].to_numpy() for to, column in zip(("chrom", "start", "end"), columns, strict=True)})
    else:
        table = _parse_names(names)
        unparsed = table["chrom"].isna().to_numpy()
        if unparsed.any():
            columns_of_var, row = ", ".join(map(str, var.columns)) or "none", int(np.flatnonzero(unparsed)[0])
            raise InputError(
                f"{where} has no intervals of peaks: it has no columns chr, start and end (its columns: {columns_of_var}), and "
                f"{row_name(row)} is not a name like chr1:100-600, chr1-100-600 or chr1_100_600. Add the columns."
            )
    table = checked_intervals(table, where, row_name)
    if columns:
        _check_names_agree(names, table, where, row_name)
    table.insert(0, "name", names)
    rest = normal_values(var.drop(columns=list(columns or ())).reset_index(drop=True), where)
    rest.columns = pd.Index(distinct_names(rest.columns, table.columns, "var_"), dtype=object)
    return pd.concat([table, rest], axis=1).set_axis(rows, axis=0)


def has_intervals(table: pd.DataFrame) -> bool:
    """Return whether the rows of a table look like peaks, by its columns or its first row names."""
    return _interval_columns(table) is not None or bool(_parse_names(table.index.to_numpy()[:5])["chrom"].notna().all())


def peak_names(peaks: pd.DataFrame) -> NDArray[np.object_]:
    """Return the name of each peak, for example chr1:100-600."""
    names: NDArray[np.object_] = (
        peaks["chrom"].astype(str) + ":" + peaks["start"].astype(str) + "-" + peaks["end"].astype(str)
    ).to_numpy(dtype=object)
    return names


def check_order(peaks: pd.DataFrame, where: str) -> None:
    """Raise InputError unless peaks are grouped by chromosome with rising starts; the chromosomes may be in any order."""
    chrom, start = pd.factorize(peaks["chrom"])[0], peaks["start"].to_numpy()
    is_new = np.r_[True, chrom[1:] != chrom[:-1]]
    # factorize numbers chromosomes by first appearance, so a chromosome that returns has a lower number than those before it.
    unsorted = np.r_[False, (chrom[1:] < np.maximum.accumulate(chrom)[:-1]) | (~is_new[1:] & (np.diff(start) < 0))]
    if unsorted.any():
        row = int(np.flatnonzero(unsorted)[0])
        previous, current = peak_names(peaks.iloc[row - 1 : row + 1])
        raise InputError(
            f"{where}: the peaks are not sorted: {current} (row {peaks.index[row]}, counting from 0) comes after {previous}. "
            f"Sort them with {option('sort_peaks', True)}, or sort the matrix."
        )


def checked_intervals(table: pd.DataFrame, where: str, row_name: Callable[[int], str]) -> pd.DataFrame:
    """Check intervals and give them their types.

    Parameters
    ----------
    table : DataFrame
        chrom, start, end, as read.
    where : str
        Name of the table in messages.
    row_name : callable
        Returns the name of a row in messages.

    Returns
    -------
    DataFrame
        chrom as str, start and end as int64.

    Raises
    ------
    InputError
        An interval is impossible: the message names the first such row.
    """

    def refuse(wrong: NDArray[np.bool_], problem: str) -> None:
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            interval = " ".join(str(value) for value in table.iloc[row])
            raise InputError(f"{where}, {row_name(row)}: {problem}; found {interval!r}.")

    refuse(table["chrom"].isna().to_numpy() | (table["chrom"].astype(str) == "").to_numpy(), "the chromosome has no name")
    numbers = {}
    for column in ("start", "end"):
        number = pd.to_numeric(table[column].astype(object), errors="coerce").to_numpy(dtype=np.float64)
        refuse(~(np.abs(number) < 1e18) | (number != np.round(number)), f"the {column} must be a whole number")
        numbers[column] = number.astype(np.int64)
    start, end = numbers["start"], numbers["end"]
    refuse(start < 0, "the start must not be negative")
    refuse(end <= start, "the end must be greater than the start")
    return pd.DataFrame({"chrom": table["chrom"].astype(str).to_numpy(dtype=object), "start": start, "end": end})


def _interval_columns(var: pd.DataFrame) -> tuple[Any, Any, Any] | None:
    by_name = {str(column).lower(): column for column in reversed(var.columns)}
    chrom = next((by_name[name] for name in _CHROM_COLUMNS if name in by_name), None)
    return None if chrom is None or not {"start", "end"} <= set(by_name) else (chrom, by_name["start"], by_name["end"])


def _parse_names(names: NDArray[Any]) -> pd.DataFrame:
    """Split names into chrom, start and end; a name that is not a peak's gives missing values."""
    series = pd.Series(names, dtype=object).astype(str)
    columns = {0: "chrom", 1: "start", 2: "end"}
    intervals = series.str.extract(_PEAK_NAMES[0]).rename(columns=columns)
    unparsed = intervals["chrom"].isna()
    if unparsed.any():
        intervals.loc[unparsed] = series[unparsed].str.extract(_PEAK_NAMES[1]).rename(columns=columns)
    # Genome browsers write chr1:4,100,000-4,100,500.
    for column in ("start", "end"):
        intervals[column] = intervals[column].str.replace(",", "")
    return intervals


def _check_names_agree(names: NDArray[Any], table: pd.DataFrame, where: str, row_name: Callable[[int], str]) -> None:
    """Raise InputError if a row name is an interval on one of the table's chromosomes, but not that of the row's columns."""
    parsed = _parse_names(names)
    is_interval = parsed["chrom"].isin(set(table["chrom"])).to_numpy()
    if not is_interval.any():
        return
    starts = pd.to_numeric(parsed["start"]).to_numpy() - table["start"].to_numpy()
    ends = pd.to_numeric(parsed["end"]).to_numpy() - table["end"].to_numpy()
    differs = is_interval & ((parsed["chrom"] != table["chrom"]).to_numpy() | (starts != 0) | (ends != 0))
    if differs.any():
        row = int(np.flatnonzero(differs)[0])
        hint = ""
        if np.isin(starts[is_interval], [1]).all() and (ends[is_interval] == 0).all():
            hint = " The names count from 1 and the columns from 0: rename the peaks, or drop the names."
        elif np.isin(starts[is_interval], [-1]).all() and (ends[is_interval] == 0).all():
            hint = " The columns seem to count from 1: subtract 1 from the starts."
        raise InputError(
            f"{where}, {row_name(row)}: the columns say {peak_names(table.iloc[[row]])[0]}, another interval than the name "
            f"({int(differs.sum()):,} of {len(table):,} rows differ). Correct one of them.{hint}"
        )
