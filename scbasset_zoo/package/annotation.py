"""The annotation tables of a package: cells and peaks as they are read and identified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.tables import read_table

if TYPE_CHECKING:
    import pandas as pd


def read_cells(folder: Path) -> pd.DataFrame:
    return cells_from_bytes((folder / "cells.parquet").read_bytes(), folder / "cells.parquet")


def cells_from_bytes(raw: bytes, path: Path) -> pd.DataFrame:
    table = read_table(raw, path)
    if "barcode" not in table:
        raise PackageError(f"{path} has no column 'barcode'.")
    return table.set_index("barcode")


def peak_identifiers(peaks: pd.DataFrame) -> list[str]:
    return [f"{c}:{s}-{e}" for c, s, e in zip(peaks["chrom"], peaks["start"], peaks["end"], strict=True)]
