"""Counts fragments in peaks: from fragment files and a BED of peaks to an AnnData of cells x peaks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from textwrap import indent
from typing import Any, TypeAlias, Unpack

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.counting.called_cells import read_cells, require_matches, steepest_drop
from scbasset_zoo.counting.count_options import CountKeywords, CountOptions
from scbasset_zoo.counting.counted_peaks import peaks_to_count
from scbasset_zoo.counting.fragment_counts import MITOCHONDRIA, AllBarcodes, FragmentCounts, ListedBarcodes, count_fragments
from scbasset_zoo.counting.fragment_file import read_fragments
from scbasset_zoo.counting.interval_index import IntervalIndex
from scbasset_zoo.counting.knee_plot import plot_knees
from scbasset_zoo.counting.tss_enrichment import StartSites, enrichment
from scbasset_zoo.errors import InputError
from scbasset_zoo.files import destination, new_file, sha256
from scbasset_zoo.inputs.assemblies import some_names
from scbasset_zoo.inputs.assembly_table import assemblies, find_assembly
from scbasset_zoo.inputs.chromosome_names import standard_name
from scbasset_zoo.inputs.samples import check_samples, with_sample
from scbasset_zoo.options import checked_options, declares_options
from scbasset_zoo.progress import say
from scbasset_zoo.version import __version__
from scbasset_zoo.wording import option

PathLike: TypeAlias = str | os.PathLike[str]

# Peaks of the right assembly hold several times as many insertions as chance. Fewer insertions than these show nothing.
LEAST_ENRICHMENT = 1.5
LEAST_INSERTIONS = 10_000
MOST_COVERED = 0.3


@declares_options(CountOptions)
def count(
    fragments: PathLike | Sequence[PathLike] | Mapping[str, PathLike],
    *,
    peaks: PathLike,
    cells: PathLike | Sequence[PathLike] | None = None,
    out: PathLike | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    **options: Unpack[CountKeywords],
) -> ad.AnnData:
    """Count the insertions, or the fragments, of each cell in each peak.

    The files are read in blocks: memory grows with the entries of the result, not with the files. A fragment that a file has
    several times, with the same barcode and interval, counts once.

    Parameters
    ----------
    fragments : path, sequence of paths, or mapping of sample to path
        Files as of Cell Ranger (`fragments.tsv.gz`): chromosome, start, end (0-based, half-open, shifted to the insertions) and
        barcode, with tabs between them, sorted by chromosome and start, plain or gzip. Several files need sample names.
    peaks : path
        BED of the peaks, one set for all samples.
    cells : path or sequence of paths, optional
        The barcodes that are cells, see :func:`scbasset_zoo.counting.called_cells.read_cells`: a file for each file of fragments,
        or one file whose barcodes are written SAMPLE#BARCODE. By default cells are chosen by their number of fragments.
    out : path, optional
        File to write: ``.h5ad`` or ``.zarr``.
    overwrite : bool
        Replace `out` if it exists.
    quiet : bool
        Show no progress.
    **options
        See :class:`scbasset_zoo.counting.count_options.CountOptions`.

    Returns
    -------
    AnnData, cells x peaks
        `.X` are counts (int32, sparse). `.obs`: `sample` if samples are named, `n_fragments` (outside the mitochondrial
        chromosome), `n_mitochondrial_fragments`, `n_insertions_in_peaks`, `fraction_in_peaks` (of the 2 `n_fragments` insertions)
        and `tss_enrichment` if a GTF is given. `.var`: chrom, start, end. ``.uns["scbasset_zoo"]`` says how it was made.

    Raises
    ------
    InputError
        An input or option cannot be used; nothing is left at `out`.
    """
    settings = checked_options("count", CountOptions, options)
    if isinstance(fragments, Mapping):
        settings = settings.model_copy(update={"samples": tuple(fragments)})
        fragments = list(fragments.values())
    files = _files_of_samples(fragments, settings.samples)
    lists = [cells] if isinstance(cells, str | os.PathLike) else list(cells or ())
    inputs = [*files.values(), peaks, *lists, *([settings.gtf] if settings.gtf else []), *settings.blacklist]
    if out is None:
        return _Count(files, peaks, lists, settings, quiet).result()[0]
    if Path(out).suffix not in (".h5ad", ".zarr"):
        raise InputError(f"{out}: the result is an AnnData; expected a name that ends in .h5ad or .zarr.")
    with destination(out, overwrite=overwrite, inputs=inputs):
        result, knees = _Count(files, peaks, lists, settings, quiet).result()
        if knees:
            with new_file(knee_file(out)) as partial:
                plot_knees(knees, partial)
        with new_file(out, overwrite=overwrite) as partial:
            result.write_h5ad(partial) if partial.suffix == ".h5ad" else result.write_zarr(partial)
    return result


def knee_file(out: PathLike) -> Path:
    """Return the file of the knee plot, beside the result."""
    return Path(out).with_suffix(".knee.png")


def summary(result: ad.AnnData) -> str:
    """Describe in plain text what :func:`count` returned."""
    made = result.uns["scbasset_zoo"]
    density = result.X.nnz / max(1, result.n_obs * result.n_vars)
    lines = [f"{result.n_obs:,} cells x {result.n_vars:,} peaks, {density:.2%} above 0; {made['counting']} are counted", ""]
    table = pd.DataFrame([_shown(row) for row in json.loads(made["samples"])]).to_string(index=False, justify="right")
    # Indented, as messages print all lines but the first.
    return "\n".join([*lines, indent(table, "  ")])


def _shown(row: dict[str, Any]) -> dict[str, str]:
    """Return the numbers of a sample as texts, each score with its value by chance."""
    shown = {name: value if isinstance(value, str) else f"{value:,}" for name, value in row.items() if name not in _SCORES}
    shown["insertions in peaks"] = f"{row['in peaks']:.1%} (chance {row['chance']:.1%})"
    if "TSS enrichment" in row:
        shown["TSS enrichment"] = f"{row['TSS enrichment']:.1f} (chance 1)"
    return shown


_SCORES = ("in peaks", "chance", "TSS enrichment")
_Knees: TypeAlias = dict[str, tuple[NDArray[np.int64], int, int]]


@dataclass
class _Sample:
    """The cells of one file of fragments, and what the summary says about them."""

    cells: pd.DataFrame
    counts: sparse.csr_matrix
    row: dict[str, Any]


class _Count:
    """The steps from checked inputs to the AnnData."""

    def __init__(
        self, files: dict[str, Path], peaks: PathLike, lists: Sequence[PathLike], options: CountOptions, quiet: bool
    ) -> None:
        self.files, self.options, self.quiet, self.peaks_file, self.lists = files, options, quiet, Path(peaks), lists
        self.sizes = _lengths_by_name(options.assembly) if options.assembly else {}
        self.peaks = peaks_to_count(peaks, self.sizes, options, self._standard)
        self.index = IntervalIndex(self.peaks.assign(chrom=self.peaks["chrom"].map(self._standard)))
        self.cells = _cells_of_samples(lists, files)
        self.sites = StartSites(options.gtf, self._standard) if options.gtf else None
        for file in files.values():
            self._check_beginning(file)

    def result(self) -> tuple[ad.AnnData, _Knees]:
        """Count all files, and return the AnnData and the fragments of all barcodes, if cells were chosen by them."""
        knees: _Knees = {}
        samples = [self._sample(name, file, knees) for name, file in self.files.items()]
        var = self.peaks.set_index("name").rename_axis(None)
        result = ad.AnnData(
            sparse.vstack([sample.counts for sample in samples], format="csr"),
            obs=pd.concat([sample.cells for sample in samples]),
            var=var,
            uns={"scbasset_zoo": self._provenance([sample.row for sample in samples])},
        )
        return result, knees

    def _sample(self, name: str, file: Path, knees: _Knees) -> _Sample:
        listed = self.cells.get(name)
        found = count_fragments(
            file,
            AllBarcodes() if listed is None else ListedBarcodes(listed),
            self.index,
            len(self.peaks),
            counting=self.options.counting,
            sites=self.sites,
            chromosome_sizes=self.sizes,
            standard_name=self._standard,
            quiet=self.quiet,
        )
        cells = pd.DataFrame(
            {
                "n_fragments": found.n_fragments,
                "n_mitochondrial_fragments": found.n_mitochondrial,
                "n_insertions_in_peaks": found.n_in_peaks,
                "fraction_in_peaks": found.n_in_peaks / np.maximum(2 * found.n_fragments, 1),
            },
            index=pd.Index(found.barcodes, dtype=object),
        )
        if self.sites is not None:
            cells["tss_enrichment"] = enrichment(found.n_at_sites, found.n_beside_sites)
        chance = self._check_against_chance(file, found)
        if listed is None:
            threshold = self._threshold(name, file, found.n_fragments, knees)
            is_cell = found.n_fragments >= threshold
        else:
            threshold = None
            is_cell = found.n_fragments + found.n_mitochondrial > 0
            require_matches(cells.index, is_cell, found.example, self._list_of(name), str(file))
            if not is_cell.all():
                absent = cells.index[~is_cell]
                say(f"{len(absent):,} of {len(cells):,} listed barcodes have no fragment in {file}, first {absent[0]!r}; left out.")
        is_cell = self._enough_enrichment(cells, is_cell, file)
        cells, counts = cells[is_cell].copy(), found.counts[is_cell]
        if self.options.samples:
            cells.insert(0, "sample", pd.Series(name, cells.index, dtype=pd.CategoricalDtype(list(self.files))))
            cells.index = with_sample(name, cells.index)
        if found.n_repeated:
            say(f"{file}: {found.n_repeated:,} lines repeat a fragment of the same barcode; each fragment counts once.")
        row: dict[str, Any] = {"sample": name, "fragments": found.n_lines}
        if threshold is not None:
            row |= {"barcodes": len(found.barcodes), "threshold": threshold}
        row |= {"cells": len(cells), "median per cell": int(cells["n_fragments"].median())}
        row |= {
            "in peaks": float(cells["n_insertions_in_peaks"].sum() / max(1, 2 * cells["n_fragments"].sum())),
            "chance": chance,
        }
        if self.sites is not None:
            # Of all cells together: a single cell has few insertions in the flanks.
            together = enrichment(*(n[is_cell].sum(keepdims=True) for n in (found.n_at_sites, found.n_beside_sites)))
            row["TSS enrichment"] = float(together[0])
        return _Sample(cells, counts, row)

    def _enough_enrichment(self, cells: pd.DataFrame, is_cell: NDArray[np.bool_], file: Path) -> NDArray[np.bool_]:
        """Return the cells without those whose TSS enrichment is too low."""
        least = self.options.min_tss_enrichment
        if least is not None:
            is_low = is_cell & (cells["tss_enrichment"] < least).to_numpy()
            say(f"{file}: {is_low.sum():,} of {is_cell.sum():,} cells have a TSS enrichment below {least:g} and are left out.")
            is_cell = is_cell & ~is_low
        if not is_cell.any():
            raise InputError(f"{file}: no cell is left. Lower {option('min_tss_enrichment')}.")
        return is_cell

    def _threshold(self, name: str, file: Path, n_fragments: NDArray[np.int64], knees: _Knees) -> int:
        """Return the fewest fragments of a cell."""
        drop = steepest_drop(n_fragments)
        threshold = self.options.min_fragments or drop
        if not (n_fragments >= threshold).any():
            raise InputError(
                f"{file}: no barcode has {threshold:,} fragments; the most is {n_fragments.max():,}. "
                f"Lower {option('min_fragments')}."
            )
        if self.options.min_fragments is None:
            say(
                f"{file}: {(n_fragments >= threshold).sum():,} of {len(n_fragments):,} barcodes have at least {threshold:,} "
                f"fragments (where the ranked barcodes drop most steeply) and are taken as cells. Look at the plot; "
                f"{option('min_fragments')} or {option('cells')} chooses others."
            )
        knees[name] = (n_fragments, threshold, drop)
        return threshold

    def _check_beginning(self, file: Path) -> None:
        """Raise InputError if a file is none of fragments, or names chromosomes otherwise than the peaks or the GTF."""
        own_name = next(read_fragments(file)).chrom
        chrom = self._standard(own_name)
        of_peaks = self.peaks["chrom"][self.peaks["chrom"].map(self._standard) == chrom].unique().tolist()
        if of_peaks and own_name not in of_peaks:
            say(f"{file} has {own_name} for {of_peaks[0]} of {self.peaks_file}: chromosomes are found by their names in "
                f"{self.options.assembly}.")  # fmt: skip
        for where, chroms in (
            (self.peaks_file, self.index.chroms),
            (self.options.gtf, self.sites.chroms if self.sites else {chrom}),
        ):
            other = chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"
            if chrom not in chroms and other in chroms:
                raise InputError(
                    f"{file} names chromosomes like {chrom}, {where} like {other}. With {option('assembly')} of a listed assembly, "
                    "such as hg38, chromosomes are found by each of their names; or write the same names in both files."
                )

    def _check_against_chance(self, file: Path, found: FragmentCounts) -> float:
        """Return the share of the genome that lies in peaks; raise InputError if peaks hold no more insertions than by chance."""
        # The names are the standard ones, which have a length if the assembly is listed.
        ends = {chrom: self.sizes.get(chrom, end) for chrom, end in found.chromosome_ends.items() if chrom not in MITOCHONDRIA}
        if not self.index.chroms & set(found.chromosome_ends):
            raise InputError(
                f"{file} and {self.peaks_file} have no chromosome in common: fragments are on {some_names(found.chromosome_ends)}, "
                f"peaks on {some_names(sorted(self.index.chroms))}."
            )
        covered = sum(map(self.index.covered, ends)) / max(1, sum(ends.values()))
        n_insertions, n_in_peaks = 2 * int(found.n_fragments.sum()), int(found.n_in_peaks.sum())
        if n_insertions >= LEAST_INSERTIONS and covered < MOST_COVERED and n_in_peaks < LEAST_ENRICHMENT * covered * n_insertions:
            problem = (
                f"{file}: {n_in_peaks / n_insertions:.2%} of the insertions lie in peaks of {self.peaks_file}, which cover "
                f"{covered:.2%} of the genome: hardly more than by chance. Are fragments and peaks of the same assembly?"
            )
            if not self.options.force:
                raise InputError(f"{problem} {option('force', True)} counts all the same.")
            say(problem)
        return covered

    def _standard(self, chrom: str) -> str:
        """Return the name of a chromosome by which the files are compared: UCSC's, if the assembly is given."""
        return standard_name(chrom, self.options.assembly) if self.options.assembly else chrom

    def _list_of(self, name: str) -> str:
        return str(self.lists[0] if len(self.lists) == 1 else self.lists[list(self.files).index(name)])

    def _provenance(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Say how the counts were made: texts only, so that every format can hold them."""
        options = self.options.model_dump(mode="json", exclude_defaults=True)
        return {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": __version__,
            "counting": self.options.counting,
            "options": json.dumps(options),
            "fragments": json.dumps({name: {"name": file.name, "bytes": file.stat().st_size} for name, file in self.files.items()}),
            "peaks": json.dumps({"name": self.peaks_file.name, "sha256": sha256(self.peaks_file)}),
            "cells": json.dumps([{"name": Path(file).name, "sha256": sha256(file)} for file in self.lists]),
            "samples": json.dumps(rows),
        }


def _lengths_by_name(assembly: str) -> dict[str, int]:
    """Return the lengths of an assembly's chromosomes in bp, by each of their names."""
    if (listed := find_assembly(assembly)) is None:
        raise InputError(
            f"{option('assembly')} {assembly}: the lengths of its chromosomes are not built in, only those of "
            f"{', '.join(assemblies())}. Leave the option out."
        )
    return {name: chromosome.length for name, chromosome in listed.by_name.items()}


def _files_of_samples(fragments: PathLike | Sequence[PathLike], samples: Sequence[str]) -> dict[str, Path]:
    """Return the files of fragments by sample; a single file without a name has its file's."""
    files = [Path(fragments)] if isinstance(fragments, str | os.PathLike) else [Path(file) for file in fragments]
    if not files:
        raise InputError("No file of fragments is given.")
    for file in files:
        if not file.exists():
            raise InputError(f"There is no file of fragments {file}.")
    check_samples(samples, files)
    return dict(zip(samples or [files[0].name], files, strict=True))


def _cells_of_samples(lists: Sequence[PathLike], files: Iterable[str]) -> dict[str, list[str]]:
    """Return the listed barcodes of each sample, without the sample's name; an empty dict if there is no list."""
    names = list(files)
    if not lists:
        return {}
    if len(lists) == len(names):
        cells = {name: read_cells(file) for name, file in zip(names, lists, strict=True)}
        prefixes = {name: f"{name}#" for name in names}
        return {name: [barcode.removeprefix(prefixes[name]) for barcode in barcodes] for name, barcodes in cells.items()}
    if len(lists) != 1:
        raise InputError(
            f"{len(lists)} lists of cells are given for {len(names)} files of fragments. Give one for each, or one for all."
        )
    of_sample: dict[str, list[str]] = {name: [] for name in names}
    for barcode in read_cells(lists[0]):
        name, mark, rest = barcode.partition("#")
        if not mark or name not in of_sample:
            raise InputError(
                f"{lists[0]}: the barcode {barcode!r} does not say its sample. A list for several files has SAMPLE#BARCODE on each "
                f"line, with the samples {', '.join(names)}; or give a list for each file."
            )
        of_sample[name].append(rest)
    if empty := [name for name, barcodes in of_sample.items() if not barcodes]:
        raise InputError(f"{lists[0]} has no cell of the sample {empty[0]!r}.")
    return of_sample
