"""The genome browser of a report: igv.js with the regions, their sequence and their tracks, all within the page."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scbasset_zoo.inputs import dna
from scbasset_zoo.inputs.windows import Windows, window_starts
from scbasset_zoo.running.tracks import values_of
from scbasset_zoo.tracks.placement import chromosomes_of, genome_of, place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scbasset_zoo.extend.analysis import Result
    from scbasset_zoo.extend.tracks import Tracks

# What a page holds: 20 regions of 1,344 bp and 12 groups are about 2.5 MB.
MOST_REGIONS, MOST_TRACKS, MOST_MARKS = 20, 12, 2_000
# Bases that a click on a region shows as letters.
FOCUS = 80
# Bases on both sides of a peak without values for each base.
MARGIN = 500
DATA = Path(__file__).parent / "data" / "igv"


@dataclass(frozen=True)
class GenomeBrowser:
    """What the template of the report needs.

    Attributes
    ----------
    data : str
        Regions, sequence and tracks as JSON that may stand in a script of a page.
    script : str
        igv.js.
    licence : str
        The licence of igv.js.
    caption : str
    regions : list of dict
        `location` of each region, as genome browsers write it, and `focus`, the location of its most important bases, or "".
    """

    data: str
    script: str
    licence: str
    caption: str
    regions: list[dict[str, str]]


def genome_browser(tracks: Tracks, result: Result) -> GenomeBrowser:
    """Return the genome browser of the first regions and tracks of a result.

    Parameters
    ----------
    tracks : Tracks
        What the analysis stated for this result.
    result : AnnData or xarray.Dataset
    """
    n_regions, n_tracks = min(len(tracks.windows), MOST_REGIONS), min(len(tracks.names), MOST_TRACKS)
    shown = slice(0, n_regions)
    windows = Windows(
        tracks.windows.var.iloc[shown], tracks.windows.read, None, tracks.windows.chromosome_names, tracks.windows.genome
    )
    values = values_of(tracks, result, shown)[..., :n_tracks]
    chroms = chromosomes_of(windows)
    starts, ends = _shown_parts(windows, tracks.length)
    data = {
        "fasta": _sequence(windows, chroms, starts, ends),
        "isLogo": tracks.length is not None,
        "unit": tracks.unit,
        "names": [str(name) for name in tracks.names[:n_tracks]],
        "pieces": _pieces(windows, tracks.length, values),
        "peaks": _features(windows.var.assign(chrom=chroms)),
        "marks": _features(_marks_in(tracks, result, windows, chroms, starts, ends)),
    }
    return GenomeBrowser(
        data=json.dumps(data).replace("<", "\\u003c"),  # no text ends the script that the data stand in
        # Browsers would look for the source map beside the page.
        script=DATA.joinpath("igv.min.js").read_text(encoding="utf-8").replace("//# sourceMappingURL=igv.min.js.map", ""),
        licence=DATA.joinpath("LICENSE").read_text(encoding="utf-8"),
        caption=_caption(tracks, n_regions, n_tracks),
        regions=[
            {
                "location": _location(chrom, start, end),
                "focus": "" if tracks.length is None else _focus(chrom, start, end, int(window_start), of_region),
            }
            for chrom, start, end, window_start, of_region in zip(
                chroms, starts, ends, window_starts(windows.var, tracks.length or 0), values, strict=True
            )
        ],
    )


def _shown_parts(windows: Windows, length: int | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the part of the chromosome that is shown for each region: its window, or its peak with a margin."""
    if length is None:
        starts, ends = (windows.var[name].to_numpy(np.int64) for name in ("start", "end"))
        starts, ends = starts - MARGIN, ends + MARGIN
    else:
        starts = window_starts(windows.var, length)
        ends = starts + length
    sizes = np.array([genome_of(windows).chromosome_sizes[chrom] for chrom in chromosomes_of(windows)])
    return np.maximum(starts, 0), np.minimum(ends, sizes)


def _sequence(windows: Windows, chroms: NDArray[np.object_], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> str:
    """Return the sequence of the regions as FASTA in a data URI. Titles are those that igv.js knows from igv-reports."""
    genome = genome_of(windows)
    records = [
        f">{chrom}:{start + 1}-{end} @len={genome.chromosome_sizes[chrom]}\n{dna.decode(genome.codes(chrom, start, end))}\n"
        for chrom, start, end in _united(chroms, starts, ends)
    ]
    return f"data:application/octet-stream;base64,{base64.b64encode(''.join(records).encode()).decode()}"


def _united(chroms: NDArray[np.object_], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> list[tuple[str, int, int]]:
    """Return the union of regions, since igv.js reads a sequence from one record alone."""
    united: list[tuple[str, int, int]] = []
    for chrom, start, end in sorted(zip(chroms.tolist(), starts.tolist(), ends.tolist(), strict=True)):
        if united and united[-1][0] == chrom and start <= united[-1][2]:
            united[-1] = (chrom, united[-1][1], max(end, united[-1][2]))
        else:
            united.append((chrom, start, end))
    return united


def _pieces(windows: Windows, length: int | None, values: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Return the pieces of regions as bigWig files have them, each with the values of every track."""
    placement = place(windows, length)
    pieces = []
    columns = (placement.pieces[name].tolist() for name in ("chrom", "start", "end", "region"))
    for chrom, start, end, region in zip(*columns, strict=True):
        first = start - int(placement.starts[region])
        of_piece = values[region] if length is None else values[region, first : first + end - start].T
        numbers = [_rounded(of_track) for of_track in of_piece.reshape(values.shape[-1], -1)]
        pieces.append({"chr": chrom, "start": start, "end": end, "values": numbers})
    return pieces


def _rounded(values: NDArray[np.float32]) -> list[float | None]:
    """Return numbers with four digits, as a page shows them; JSON has no NaN."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values.tolist()]


def _marks_in(
    tracks: Tracks,
    result: Result,
    windows: Windows,
    chroms: NDArray[np.object_],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> pd.DataFrame:
    """Return the marks that lie in the shown parts."""
    if tracks.marks is None:
        return pd.DataFrame()
    marks = tracks.marks(result)
    marks = marks.assign(chrom=marks["chrom"].map(lambda name: windows.chromosome_names.get(name, name)))
    is_shown = np.zeros(len(marks), dtype=bool)
    for chrom, start, end in zip(chroms, starts, ends, strict=True):
        is_shown |= ((marks["chrom"] == chrom) & (marks["start"] < end) & (marks["end"] > start)).to_numpy()
    return marks[is_shown].head(MOST_MARKS)


def _features(table: pd.DataFrame) -> list[dict[str, Any]]:
    columns = [name for name in ("chrom", "start", "end", "name", "strand") if name in table]
    records = table[columns].rename(columns={"chrom": "chr"}).to_dict("records")
    return [{str(key): value if isinstance(value, int) else str(value) for key, value in record.items()} for record in records]


def _focus(chrom: str, start: int, end: int, window_start: int, values: NDArray[np.float32]) -> str:
    """Return the location of the bases with the largest sum of absolute values over tracks."""
    size = np.abs(np.nan_to_num(values)).sum(axis=1)
    sums = np.convolve(size, np.ones(min(FOCUS, len(size))), mode="valid")
    first = max(start, window_start + int(sums.argmax()))
    return _location(chrom, first, min(first + FOCUS, end))


def _location(chrom: str, start: int, end: int) -> str:
    return f"{chrom}:{start + 1:,}-{end:,}"


def _caption(tracks: Tracks, n_regions: int, n_tracks: int) -> str:
    regions = f"the first {n_regions} of {len(tracks.windows):,} regions" if n_regions < len(tracks.windows) else "all regions"
    groups = f"the first {n_tracks} of {len(tracks.names):,} tracks" if n_tracks < len(tracks.names) else "all tracks"
    letters = " Near enough, bases are letters, as high as their value." if tracks.length is not None else ""
    return (
        f"{tracks.unit[:1].upper()}{tracks.unit[1:]}: {regions}, {groups}, on one scale.{letters} A base that several regions "
        "cover has the value of the one whose centre is nearest. The page holds the sequence of these regions only, and sends "
        "nothing over the network."
    )
