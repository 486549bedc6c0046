"""Counts fragments in peaks: from fragment files and a BED of peaks to an AnnData of cells x peaks."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias, Unpack

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.anndata_files import check_suffix, write_anndata_file
from scbasset_zoo.counting.belonging import check_counts, check_names, check_widths, require_file
from scbasset_zoo.counting.called_cells import steepest_drop
from scbasset_zoo.counting.count_options import CountKeywords, CountOptions
from scbasset_zoo.counting.counted_peaks import peaks_to_count
from scbasset_zoo.counting.fragment_counts import AllBarcodes, ListedBarcodes, count_fragments
from scbasset_zoo.counting.fragment_file import read_fragments
from scbasset_zoo.counting.interval_index import IntervalIndex
from scbasset_zoo.counting.knee_plot import plot_knees
from scbasset_zoo.counting.listed_cells import CellsLike, ListedCells, require_matches
from scbasset_zoo.counting.tss_enrichment import StartSites, enrichment
from scbasset_zoo.errors import InputError
from scbasset_zoo.files import destination, new_file, sha256
from scbasset_zoo.inputs.assembly_table import assemblies, find_assembly
from scbasset_zoo.inputs.chromosome_names import standard_name
from scbasset_zoo.inputs.samples import by_sample, check_samples, with_sample
from scbasset_zoo.options import checked_options, declares_options
from scbasset_zoo.progress import say
from scbasset_zoo.version import __version__
from scbasset_zoo.wording import did_you_mean, install_command, option

PathLike: TypeAlias = str | os.PathLike[str]


@declares_options(CountOptions)
def count(
    fragments: PathLike | Sequence[PathLike] | Mapping[str, PathLike],
    *,
    peaks: PathLike,
    cells: CellsLike | None = None,
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
    cells : path, barcodes (Index, Series or array), sequence of paths, or mapping of sample to path or barcodes; optional
        The barcodes that are cells, see :func:`scbasset_zoo.counting.listed_cells.read_cells`: a list for each file of fragments,
        or one list whose barcodes are written SAMPLE#BARCODE. By default cells are chosen by their number of fragments.
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
    given, samples = by_sample(fragments, options.get("samples") or (), "fragments")
    settings = checked_options("count", CountOptions, options | {"samples": samples})
    files = _files_of_samples([Path(file) for file in given], settings.samples)
    require_file(Path(peaks), "BED of peaks")
    listed = ListedCells(cells, list(files))
    if listed and settings.min_fragments is not None:
        raise InputError(f"Give either {option('cells')} or {option('min_fragments')}: a list says which barcodes are cells.")
    inputs = [*files.values(), peaks, *listed.files, *([settings.gtf] if settings.gtf else []), *settings.blacklist]
    if out is None:
        return _Count(files, peaks, listed, settings, quiet).result()[0]
    out = Path(out)
    check_suffix(out)
    with contextlib.ExitStack() as stack:
        stack.enter_context(destination(out, overwrite=overwrite, inputs=inputs))
        if not listed:
            stack.enter_context(destination(knee_file(out), overwrite=overwrite, inputs=inputs))
        result, knees = _Count(files, peaks, listed, settings, quiet).result()
        if knees and find_spec("matplotlib") is None:
            say(f"There is no plot of the ranked barcodes, which needs matplotlib: {install_command('analyses')}.")
        elif knees:
            plot_knees(knees, stack.enter_context(new_file(knee_file(out), overwrite=overwrite)))
        write_anndata_file(result, stack.enter_context(new_file(out, overwrite=overwrite)))
    return result


def knee_file(out: PathLike) -> Path:
    """Return the file of the knee plot, beside the result."""
    return Path(out).with_suffix(".knee.png")


_Knees: TypeAlias = dict[str, tuple[NDArray[np.int64], int, int | None]]


@dataclass
class _Sample:
    """The cells of one file of fragments, and what the summary says about them."""

    cells: pd.DataFrame
    counts: sparse.csr_matrix
    row: dict[str, Any]


class _Count:
    """The steps from checked inputs to the AnnData."""

    def __init__(self, files: dict[str, Path], peaks: PathLike, listed: ListedCells, options: CountOptions, quiet: bool) -> None:
        self.files, self.options, self.quiet, self.peaks_file, self.listed = files, options, quiet, Path(peaks), listed
        self.sizes = _lengths_by_name(options.assembly) if options.assembly else {}
        self.peaks = peaks_to_count(peaks, self.sizes, options, self._standard)
        check_widths(self.peaks, self.peaks_file, force=options.force)
        self.compared = self.peaks.assign(chrom=self.peaks["chrom"].map(self._standard))
        self.index = IntervalIndex(self.compared)
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
        listed = self.listed.of_sample.get(name)
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
        chance = check_counts(file, self.peaks_file, self.compared, self.index, found, self.sizes, force=self.options.force)
        if listed is None:
            threshold = self._threshold(name, file, found.n_fragments, knees)
            is_cell = found.n_fragments >= threshold
        else:
            threshold = None
            is_cell = found.n_fragments + found.n_mitochondrial > 0
            require_matches(cells.index, is_cell, found.example, self.listed.where[name], str(file))
        is_cell = self._enough_enrichment(cells, is_cell, file)
        cells, counts = cells[is_cell].copy(), found.counts[is_cell]
        if self.options.samples:
            cells.insert(0, "sample", pd.Series(name, cells.index, dtype=pd.CategoricalDtype(list(self.files))))
            cells.index = with_sample(name, cells.index)
        if found.n_repeated:
            say(f"{file}: {found.n_repeated:,} lines repeat a fragment of the same barcode; each fragment counts once.")
        row: dict[str, Any] = {"sample": name, "fragments in file": found.n_lines}
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
        threshold = self.options.min_fragments or drop or 1
        if not (n_fragments >= threshold).any():
            raise InputError(
                f"{file}: no barcode has {threshold:,} fragments; the most is {n_fragments.max():,}. "
                f"Lower {option('min_fragments')}."
            )
        if self.options.min_fragments is None and drop is None:
            say(
                f"{file}: hardly any background: fewer barcodes lie below a drop of the ranked barcodes than above it. All "
                f"{int((n_fragments > 0).sum()):,} barcodes are taken as cells. Look at the plot; {option('min_fragments')} or "
                f"{option('cells')} chooses others."
            )
        elif self.options.min_fragments is None:
            say(
                f"{file}: {(n_fragments >= threshold).sum():,} of {len(n_fragments):,} barcodes have at least {threshold:,} "
                f"fragments (where the ranked barcodes drop most steeply) and are taken as cells. Look at the plot; "
                f"{option('min_fragments')} or {option('cells')} chooses others."
            )
        knees[name] = (n_fragments, threshold, drop)
        return threshold

    def _check_beginning(self, file: Path) -> None:
        """Raise InputError if a file is none of fragments, or names its first chromosome otherwise than the peaks or the GTF."""
        own_name = next(read_fragments(file)).chrom
        chrom = self._standard(own_name)
        check_names(str(file), [chrom], str(self.peaks_file), self.index.chroms)
        if self.sites is not None:
            check_names(str(file), [chrom], str(self.options.gtf), self.sites.chroms)
        of_peaks = self.peaks["chrom"][self.peaks["chrom"].map(self._standard) == chrom].unique().tolist()
        if of_peaks and own_name not in of_peaks:
            say(
                f"{file} has {own_name} for {of_peaks[0]} of {self.peaks_file}: chromosomes are found by their names in "
                f"{self.options.assembly}."
            )

    def _standard(self, chrom: str) -> str:
        """Return the name of a chromosome by which the files are compared: UCSC's, if the assembly is given."""
        return standard_name(chrom, self.options.assembly) if self.options.assembly else chrom

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
            "cells": json.dumps([file.name for file in self.listed.files]),
            "samples": json.dumps(rows),
        }


def _lengths_by_name(assembly: str) -> dict[str, int]:
    """Return the lengths of an assembly's chromosomes in bp, by each of their names."""
    if (listed := find_assembly(assembly)) is None:
        raise InputError(
            f"{option('assembly')} {assembly}: the lengths of its chromosomes are not built in, only those of "
            f"{', '.join(assemblies())}.{did_you_mean(assembly, [*assemblies(), 'GRCh37', 'GRCh38', 'GRCm38', 'GRCm39'])} "
            "For another assembly, leave the option out."
        )
    return {name: chromosome.length for name, chromosome in listed.by_name.items()}


def _files_of_samples(files: Sequence[Path], samples: Sequence[str]) -> dict[str, Path]:
    """Return the files of fragments by sample; a single file without a name has its file's."""
    if not files:
        raise InputError("No file of fragments is given.")
    for file in files:
        require_file(file, "file of fragments")
    check_samples(samples, files)
    return dict(zip(samples or [files[0].name], files, strict=True))
