"""Read the intervals of a BED file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.inputs.peaks import checked_intervals, peak_names
from scbasset_zoo.inputs.text_files import open_text


def read_bed(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the intervals of a BED file (plain or gzip), in the file's order. They may be unsorted and may repeat.

    Returns
    -------
    DataFrame
        chrom, start, end (0-based, half-open), and name (column 4, or chrom:start-end if there is none).

    Raises
    ------
    InputError
        The file is missing or has no intervals, a line has fewer than three columns, or an interval is impossible: the
        message names the line.
    """
    path = Path(path)
    lines, rows = [], []
    with readable(str(path)), open_text(path) as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\r\n")
            if not line.strip() or line.startswith(("#", "track", "browser")):
                continue
            columns = line.split("\t") if "\t" in line else line.split()
            if len(columns) < 3:
                raise InputError(f"{path}, line {number}: expected chrom, start and end, found {line[:80]!r}.")
            lines.append(number)
            rows.append([*columns[:3], columns[3] if len(columns) > 3 else ""])
    if not rows:
        raise InputError(f"{path} has no intervals. Expected a BED file with chrom, start and end.")
    table = pd.DataFrame(rows, columns=["chrom", "start", "end", "name"], dtype=object)
    names = table.pop("name").to_numpy()
    table = checked_intervals(table, str(path), lambda row: f"line {lines[row]}")
    table["name"] = np.where(names == "", peak_names(table), names)
    return table
