"""The barcodes that a user lists as cells: from files or in memory, for one sample or several."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.cells_table import BARCODE_TITLES, SAMPLE
from scbasset_zoo.inputs.samples import MARK
from scbasset_zoo.inputs.text_files import text_lines, unquoted
from scbasset_zoo.progress import say
from scbasset_zoo.wording import option

PathLike: TypeAlias = str | os.PathLike[str]
Barcodes: TypeAlias = pd.Index | pd.Series | NDArray[Any]
# A file, barcodes in memory, a file for each sample, or either by sample.
CellsLike: TypeAlias = PathLike | Barcodes | Sequence[PathLike] | Mapping[str, PathLike | Barcodes]

# Cell Ranger ATAC writes is__cell_barcode, or a column for each species; Cell Ranger ARC writes is_cell.
_IS_CELL = re.compile(r"is_cell|is_.*_cell_barcode")
_YES, _NO = {"1", "1.0", "true"}, {"0", "0.0", "false"}
# Fewer of the listed barcodes than this share have fragments if the list is of another sample.
LEAST_SHARE = 0.5


class ListedCells:
    """The barcodes of each sample that are cells.

    Attributes
    ----------
    of_sample : dict of str to list of str
        Barcodes without the name of the sample; empty if no cells are listed.
    where : dict of str to str
        What lists them, for messages.
    files : list of Path
    """

    def __init__(self, cells: CellsLike | None, samples: Sequence[str]) -> None:
        self.of_sample: dict[str, list[str]] = {}
        self.where: dict[str, str] = {}
        self.files: list[Path] = []
        if cells is None:
            return
        if isinstance(cells, Mapping):
            self._add_by_sample(cells, samples)
        elif isinstance(cells, str | os.PathLike | pd.Index | pd.Series | np.ndarray):
            self._add_one(cells, samples)
        else:
            lists = list(cells)
            if len(lists) == 1:
                self._add_one(lists[0], samples)
            elif len(lists) == len(samples):
                self._add_by_sample(dict(zip(samples, lists, strict=True)), samples)
            else:
                raise InputError(
                    f"{option('cells')}: {len(lists):,} lists of cells are given for {len(samples)} files of fragments. Give one "
                    "for each, or one for all. Barcodes in memory are given as a pandas Index."
                )

    def __bool__(self) -> bool:
        return bool(self.of_sample)

    def _add_by_sample(self, cells: Mapping[str, Any], samples: Sequence[str]) -> None:
        if set(cells) != set(samples):
            raise InputError(
                f"{option('cells')} has the samples {', '.join(map(str, cells))}; the fragments have {', '.join(samples)}. "
                "Give a list for each."
            )
        for name in samples:
            barcodes, where = self._read(cells[name], with_samples=False)
            self.of_sample[name], self.where[name] = [barcode.removeprefix(f"{name}{MARK}") for barcode in barcodes], where

    def _add_one(self, cells: Any, samples: Sequence[str]) -> None:
        """Take the one list of all samples, whose barcodes say their sample if there are several."""
        barcodes, where = self._read(cells, with_samples=len(samples) > 1)
        self.where = dict.fromkeys(samples, where)
        if len(samples) == 1:
            self.of_sample = {samples[0]: [barcode.removeprefix(f"{samples[0]}{MARK}") for barcode in barcodes]}
            return
        self.of_sample = {name: [] for name in samples}
        for barcode in barcodes:
            name, mark, rest = barcode.partition(MARK)
            if not mark or name not in self.of_sample:
                raise InputError(
                    f"{where}: the barcode {barcode!r} does not say its sample. A list for several files has SAMPLE#BARCODE on "
                    f"each line, or columns barcode and sample, with the samples {', '.join(samples)}; or give a list for each "
                    "file."
                )
            self.of_sample[name].append(rest)
        if empty := [name for name, barcodes in self.of_sample.items() if not barcodes]:
            raise InputError(f"{where} has no cell of the sample {empty[0]!r}.")

    def _read(self, cells: Any, *, with_samples: bool) -> tuple[list[str], str]:
        """Return the barcodes of one list, and what it is called."""
        if isinstance(cells, str | os.PathLike):
            self.files.append(Path(cells))
            return read_cells(cells, with_samples=with_samples), str(cells)
        barcodes = [str(barcode) for barcode in cells]
        if len(set(barcodes)) < len(barcodes) or not barcodes:
            raise InputError(f"{option('cells')}: the barcodes in memory must be distinct, and there must be some.")
        return barcodes, "the list of barcodes in memory"


def read_cells(path: PathLike, *, with_samples: bool = False) -> list[str]:
    """Read the barcodes of cells. The file is read once, so it may be a pipe.

    Parameters
    ----------
    path : path
        A barcode on each line; or a table with titles and a column `barcode`, such as `singlecell.csv` of Cell Ranger ATAC or
        `per_barcode_metrics.csv` of Cell Ranger ARC, of which the barcodes called as cells are taken. Plain or gzip.
    with_samples : bool
        If the table has a column `sample`, put it before the barcode: SAMPLE#BARCODE.

    Returns
    -------
    list of str
        In the order of the file.

    Raises
    ------
    InputError
        The file is missing, has no cells or a barcode twice, or its columns have no barcodes. The message has the line.
    """
    lines = list(text_lines(path, comments=()))
    if not lines:
        raise InputError(f"{path} is empty. Expected a barcode on each line, or a table with a column barcode.")
    delimiter = next((mark for mark in ("\t", ",", ";") if mark in lines[0][1]), None)
    rows = _plain_rows(lines) if delimiter is None else _rows_of_table(path, lines, delimiter, with_samples)
    if not rows:
        raise InputError(f"{path} has no cells: no barcode is called as a cell.")
    line_of: dict[str, int] = {}
    for number, barcode in rows:
        if barcode in line_of:
            first = line_of[barcode]
            hint = "" if with_samples else " Cells of several samples are named SAMPLE#BARCODE."
            raise InputError(f"{path}, line {number}: the barcode {barcode!r} is in line {first} too. Remove one of them.{hint}")
        line_of[barcode] = number
    return list(line_of)


def require_matches(cells: pd.Index, has_fragments: NDArray[np.bool_], example: str | None, listed: str, fragments: str) -> None:
    """Say how many listed cells have no fragment; raise InputError if these are most of them.

    Parameters
    ----------
    cells : Index
    has_fragments : bool array
    example : str
        A barcode of the fragments.
    listed, fragments : str
        What lists the cells, and the file of fragments.
    """
    if has_fragments.all():
        return
    absent = cells[~has_fragments]
    n_absent = f"{len(absent):,} of the {len(cells):,} barcodes of {listed}"
    if has_fragments.mean() >= LEAST_SHARE:
        say(f"{n_absent} have no fragment in {fragments}, first {absent[0]!r}; they are left out.")
        return
    raise InputError(
        f"{fragments} has no fragment of {n_absent}: the list has {absent[0]!r}, the fragments have {example!r}."
        f"{_naming_hint(str(absent[0]), example or '')}"
    )


def _plain_rows(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    rows = [(number, unquoted(line)) for number, line in lines]
    return rows[1:] if rows[0][1].lower() in BARCODE_TITLES else rows


def _rows_of_table(path: PathLike, lines: list[tuple[int, str]], delimiter: str, with_samples: bool) -> list[tuple[int, str]]:
    """Return line and barcode of each row of a table that is a cell."""

    def columns_of(line: str) -> list[str]:
        return [text.strip() for text in next(csv.reader([line], delimiter=delimiter))]

    titles = [title.lower() for title in columns_of(lines[0][1])]
    # R and pandas write row names under an empty title.
    at = next((titles.index(title) for title in BARCODE_TITLES if title in titles), 0 if titles[0] == "" else None)
    if at is None:
        raise InputError(
            f"{path}, line {lines[0][0]}: expected a column barcode, or a file with one barcode on each line; found the columns "
            f"{', '.join(titles[:8])}."
        )
    sample = titles.index(SAMPLE) if with_samples and SAMPLE in titles else None
    flags = [number for number, title in enumerate(titles) if _IS_CELL.fullmatch(title)]
    rows = []
    for number, line in lines[1:]:
        row = columns_of(line)
        if len(row) != len(titles):
            raise InputError(f"{path}, line {number}: expected {len(titles)} columns, found {len(row)}.")
        values = [row[flag].lower() for flag in flags]
        if wrong := [value for value in values if value not in _YES | _NO]:
            raise InputError(f"{path}, line {number}: {titles[flags[0]]} must be 0 or 1; found {wrong[0]!r}.")
        if not flags or any(value in _YES for value in values):
            rows.append((number, row[at] if sample is None else f"{row[sample]}{MARK}{row[at]}"))
    return rows


def _naming_hint(listed: str, example: str) -> str:
    """Say how two barcodes differ in form."""
    number_of_listed, number = (re.search(r"-(\d+)$", barcode) for barcode in (listed, example))
    if MARK in listed:
        return f" The part before {MARK} must be the name of the sample: give it with {option('samples')}."
    if (number_of_listed is None) != (number is None):
        return " Only one of them ends in a number such as -1: write both alike."
    if number_of_listed and number and number_of_listed[1] != number[1]:
        return " They end in different numbers, as Cell Ranger's aggr numbers samples: give each sample its cells, ending in -1."
    if listed.islower() != example.islower():
        return " Only one of them is in lower case."
    if bool(re.search(r"[:_]", listed)) != bool(re.search(r"[:_]", example)):
        return " Only one of them has something before the barcode, such as the name of a sample: write both alike."
    return f" Are they of the same sample? Lists are in the order of the files; see {option('cells')}."
