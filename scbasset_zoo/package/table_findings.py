"""Checks the tables of cells and peaks against the card."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scbasset_zoo.errors import InputError
from scbasset_zoo.package.card import SPLITS, Card, Split
from scbasset_zoo.package.cells_table import read_cells
from scbasset_zoo.package.digests import order_digest, peak_identifiers
from scbasset_zoo.package.finding import Finding, result_or_finding
from scbasset_zoo.package.tables import read_table

if TYPE_CHECKING:
    import pandas as pd


def cell_findings(folder: Path, card: Card) -> Iterator[Finding]:
    """Check the number of cells, their barcodes, their columns and their order."""
    name = "cells.parquet"
    cells = yield from result_or_finding(name, lambda: read_cells(folder))
    if cells is None:
        return
    if len(cells) != card.cells.n_cells:
        yield Finding(name, f"has {len(cells):,} cells; the card says {card.cells.n_cells:,}")
    if not cells.index.is_unique:
        yield Finding(name, f"the barcode {cells.index[cells.index.duplicated()][0]!r} appears more than once")
    yield from _column_findings(name, list(cells.columns), card.cells.columns)
    yield from _order_findings(name, "cells", cells.index, card.cells.order_sha256)


def peak_findings(folder: Path, card: Card) -> Iterator[Finding]:
    """Check the number of peaks, their columns, their order, their coordinates and their split."""
    name = "peaks.parquet"
    peaks = yield from result_or_finding(name, lambda: read_table((folder / name).read_bytes(), folder / name))
    if peaks is None or card.peaks is None:
        return
    if len(peaks) != card.peaks.n_peaks:
        yield Finding(name, f"has {len(peaks):,} peaks; the card says {card.peaks.n_peaks:,}")
    yield from _column_findings(name, list(peaks.columns), card.peaks.columns)
    missing = [column for column in ("chrom", "start", "end") if column not in peaks]
    if missing:
        yield Finding(name, f"lacks the column {missing[0]!r}")
    else:
        yield from _order_findings(name, "peaks", peak_identifiers(peaks), card.peaks.order_sha256)
        yield from _coordinate_findings(name, peaks)
    if "split" in peaks and card.training is not None and card.training.split is not None:
        yield from _split_findings(name, peaks, card.training.split)


def _column_findings(name: str, columns: list[str], described: Mapping[str, str]) -> Iterator[Finding]:
    undescribed, missing = [c for c in columns if c not in described], [c for c in described if c not in columns]
    if undescribed:
        yield Finding(name, f"has columns that the card does not describe: {', '.join(map(str, undescribed))}")
    if missing:
        yield Finding(name, f"lacks columns that the card describes: {', '.join(missing)}")


def _order_findings(name: str, rows: str, identifiers: Iterable[str], digest: str) -> Iterator[Finding]:
    try:
        if order_digest(identifiers) != digest:
            yield Finding(name, f"the {rows} or their order are not those of the card (order digest)")
    except InputError as error:
        yield Finding(name, str(error))


def _coordinate_findings(name: str, peaks: pd.DataFrame) -> Iterator[Finding]:
    start, end = peaks["start"], peaks["end"]
    if start.dtype.kind not in "iu" or end.dtype.kind not in "iu":
        yield Finding(name, f"start and end must be whole numbers; found {start.dtype} and {end.dtype}")
        return
    wrong = np.flatnonzero((start < 0) | (end <= start))
    if len(wrong):
        row = int(wrong[0])
        yield Finding(
            name,
            f"{len(wrong):,} peaks do not have 0 <= start < end; the first is row {row}, "
            f"start {start.iloc[row]:,}, end {end.iloc[row]:,}",
        )


def _split_findings(name: str, peaks: pd.DataFrame, split: Split) -> Iterator[Finding]:
    for part in SPLITS:
        n_peaks, expected = int((peaks["split"] == part).sum()), getattr(split, part)
        if n_peaks != expected:
            yield Finding(name, f"has {n_peaks:,} peaks of split {part!r}; the card says {expected:,}")
