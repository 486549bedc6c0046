"""Which barcodes are cells: from a list, from a table of Cell Ranger, or by a threshold of fragments."""

from __future__ import annotations

import csv
import os
import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.text_files import open_text, text_lines, unquoted

_BARCODE_TITLES = ("barcode", "barcodes", "cell", "cell_id", "cell_barcode")
# Cell Ranger ATAC writes is__cell_barcode, or a column for each species; Cell Ranger ARC writes is_cell.
_IS_CELL = re.compile(r"is_cell|is_.*_cell_barcode")
# Limits of the search for the drop: the ratio that a slope is taken over, and what must lie above it.
WINDOW = 1.5
LEAST_CELLS, LEAST_SHARE = 10, 0.2
_YES, _NO = {"1", "true"}, {"0", "false"}


def read_cells(path: str | os.PathLike[str]) -> list[str]:
    """Read the barcodes of cells.

    Parameters
    ----------
    path : path
        A barcode on each line; or a table with titles and a column `barcode`, such as `singlecell.csv` of Cell Ranger ATAC or
        `per_barcode_metrics.csv` of Cell Ranger ARC, of which the barcodes called as cells are taken. Plain or gzip.

    Returns
    -------
    list of str
        In the order of the file.

    Raises
    ------
    InputError
        The file is missing, has no cells or a barcode twice, or its columns have no barcodes. The message has the line.
    """
    beginning = next((line for _, line in text_lines(path, comments=())), None)
    if beginning is None:
        raise InputError(f"{path} is empty. Expected a barcode on each line, or a table with a column barcode.")
    delimiter = next((mark for mark in ("\t", ",") if mark in beginning), None)
    rows = list(_plain_rows(path)) if delimiter is None else list(_rows_of_table(path, delimiter))
    if not rows:
        raise InputError(f"{path} has no cells: no barcode is called as a cell.")
    line_of: dict[str, int] = {}
    for number, barcode in rows:
        if barcode in line_of:
            raise InputError(
                f"{path}, line {number}: the barcode {barcode!r} is in line {line_of[barcode]} too. Remove one of them."
            )
        line_of[barcode] = number
    return list(line_of)


def _plain_rows(path: str | os.PathLike[str]) -> list[tuple[int, str]]:
    rows = [(number, unquoted(line)) for number, line in text_lines(path, comments=())]
    return rows[1:] if rows[0][1].lower() in _BARCODE_TITLES else rows


def _rows_of_table(path: str | os.PathLike[str], delimiter: str) -> list[tuple[int, str]]:
    """Return line and barcode of each row of a table that is a cell."""
    with open_text(path) as file:
        lines = csv.reader(file, delimiter=delimiter)
        titles = [title.strip().lower() for title in next(lines)]
        at = next((titles.index(title) for title in _BARCODE_TITLES if title in titles), None)
        if at is None:
            raise InputError(
                f"{path}, line 1: expected a column barcode, or a file with one barcode on each line; found the columns "
                f"{', '.join(titles[:8])}."
            )
        flags = [number for number, title in enumerate(titles) if _IS_CELL.fullmatch(title)]
        rows = []
        for row in lines:
            if not row:
                continue
            if len(row) != len(titles):
                raise InputError(f"{path}, line {lines.line_num}: expected {len(titles)} columns, found {len(row)}.")
            values = [row[flag].strip().lower() for flag in flags]
            if wrong := [value for value in values if value not in _YES | _NO]:
                raise InputError(f"{path}, line {lines.line_num}: {titles[flags[0]]} must be 0 or 1; found {wrong[0]!r}.")
            if not flags or any(value in _YES for value in values):
                rows.append((lines.line_num, row[at].strip()))
    return rows


def steepest_drop(n_fragments: NDArray[np.int64]) -> int:
    """Return the number of fragments where the curve of the ranked barcodes drops most steeply: between cells and background.

    The curve is the logarithm of the fragments against the logarithm of the rank. Its slope is taken between n and 1.5 n fragments,
    for each n above which there are ten barcodes and a fifth of all fragments. If several n are equally steep, the middle is taken.

    Parameters
    ----------
    n_fragments : int64 array of shape (n_barcodes,)
        Fragments of each barcode; those without fragments are ignored.
    """
    ranked = np.sort(n_fragments[n_fragments > 0])
    if not len(ranked):
        return 1
    n = np.unique(ranked)
    first, last = np.searchsorted(ranked, n), np.searchsorted(ranked, WINDOW * n)
    n_above, n_after = len(ranked) - first, len(ranked) - last
    fragments_above = np.cumsum(ranked[::-1])[::-1][first]
    is_candidate = (n_above >= min(LEAST_CELLS, len(ranked))) & (fragments_above >= LEAST_SHARE * ranked.sum()) & (n_after > 0)
    if not is_candidate.any():
        return int(n[0])
    # Few barcodes between n and 1.5 n: the curve is steep.
    barcodes_per_log = np.log(n_above / np.maximum(n_after, 1))
    barcodes_per_log[~is_candidate] = np.inf
    steepest = np.flatnonzero(barcodes_per_log == barcodes_per_log.min())
    middle = n[steepest[len(steepest) // 2]]
    return max(1, round(float(middle) * WINDOW**0.5))


def require_matches(
    cells: pd.Index, has_fragments: NDArray[np.bool_], example: str | None, cells_file: str, fragments: str
) -> None:
    """Raise InputError if none of the listed cells has a fragment; `example` is a barcode of the fragments."""
    if has_fragments.any():
        return
    raise InputError(
        f"{fragments} has none of the {len(cells):,} barcodes of {cells_file}: that has {cells[0]!r}, the fragments have "
        f"{example!r}.{_naming_hint(str(cells[0]), example or '')}"
    )


def _naming_hint(listed: str, example: str) -> str:
    def core(barcode: str) -> str:
        return re.sub(r"-\d+$", "", re.split(r"[#:_]", barcode)[-1])

    if "#" in listed:
        return " The part before # must be the name of the sample: give it with the fragments."
    if bool(re.search(r"-\d+$", listed)) != bool(re.search(r"-\d+$", example)):
        return " Only one of them ends in -1: write both alike."
    if core(listed) != listed or core(example) != example:
        return " Remove the names of samples from the barcodes, or add them on both sides."
    return " Are they of the same sample?"
