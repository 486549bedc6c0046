"""Makes the prepared peak set from a matrix and a genome."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import destination, new_file, new_folder, sha256
from scbasset_zoo.hdf5_writing import new_hdf5
from scbasset_zoo.inputs.assemblies import check_assembly, chosen_assembly, naming_hint, recognised_assembly
from scbasset_zoo.inputs.blacklist import in_blacklist, read_blacklist
from scbasset_zoo.inputs.cells_table import join_cells_table
from scbasset_zoo.inputs.gene_counts import check_same_genes, write_gene_counts
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.inputs.intervals import overlapping, overlaps, refuse_overlaps
from scbasset_zoo.inputs.matrix import MatrixLike, open_matrices
from scbasset_zoo.inputs.named_genome import genome_name
from scbasset_zoo.inputs.peak_matrix import PeakMatrix
from scbasset_zoo.inputs.peaks import check_order
from scbasset_zoo.inputs.samples import by_sample
from scbasset_zoo.inputs.windows import window_starts
from scbasset_zoo.options import accepts_earlier_names, checked_options, declares_options
from scbasset_zoo.package.card import SPLITS
from scbasset_zoo.progress import say
from scbasset_zoo.training.cell_and_peak_filters import KEPT, KeptCells, filter_cells, filter_peaks, leave_out_emptied_cells
from scbasset_zoo.training.dataset import (
    BEYOND_END,
    NO_CHROMOSOME,
    REASONS,
    SCHEMA_VERSION,
    TOO_MANY_N,
    PreparedPeaks,
    files_of_prepared,
    left_out_table,
    open_prepared,
)
from scbasset_zoo.training.label_matrix import write_open_cells
from scbasset_zoo.training.prepare_options import PrepareKeywords, PrepareOptions
from scbasset_zoo.training.prepared_files import FILES
from scbasset_zoo.training.prepared_sources import described_sources
from scbasset_zoo.training.prepared_tables import normal_cells, normal_peaks, write_cells, write_peaks
from scbasset_zoo.training.splits import assign_splits, read_split_column
from scbasset_zoo.training.window_file import write_windows
from scbasset_zoo.version import __version__
from scbasset_zoo.wording import option

# A few peaks may lie at the end of a scaffold that another release cut.
MANY_BEYOND = 0.05


@declares_options(PrepareOptions)
@accepts_earlier_names({"fasta": "genome"})
def prepare(
    matrix: MatrixLike | Sequence[MatrixLike] | Mapping[str, MatrixLike],
    *,
    genome: str | os.PathLike[str],
    assembly: str | None = None,
    out: str | os.PathLike[str],
    cells_table: str | os.PathLike[str] | pd.DataFrame | None = None,
    rna_out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    **options: Unpack[PrepareKeywords],
) -> PreparedPeaks:
    """Turn cells x peaks and a genome into a prepared peak set on disk.

    Cells are filtered first, by all peaks of the input. Then peaks are filtered by the kept cells, then by their sequence.
    The matrix is read in chunks, twice; once more when cells are left out.

    Parameters
    ----------
    matrix : AnnData, MuData or path; or several of them, as a list with `samples`, or by sample, ``{"a": matrix}``
        Cells x peaks, see :func:`scbasset_zoo.inputs.matrix.open_matrix`. Values above zero are open. Several matrices must have
        the same peaks, see :func:`scbasset_zoo.inputs.joint_matrix.join_matrices`.
    genome : path
        The genome: a FASTA (plain, gzip or bgzip), a .2bit file, or the name of an assembly, such as "hg38", to download it once.
    assembly : str, optional
        Name of the assembly, such as "hg19". Chromosome lengths of common assemblies are checked. It may be left out if the genome
        is given by its name, or is recognised by the lengths of its chromosomes.
    out : path
        The folder to make.
    cells_table : path or DataFrame, optional
        Columns for the cells, by barcode: .csv, .tsv, .txt (plain or .gz), .parquet or .h5ad; see
        :func:`scbasset_zoo.inputs.cells_table.join_cells_table`.
    rna_out : path, optional
        An .h5ad to write: counts of the genes in the kept cells, from a multiome matrix.
    overwrite : bool
        Replace an earlier prepared peak set at `out`, and an earlier file at `rna_out`.
    quiet : bool
        Show no progress.
    **options
        See :class:`scbasset_zoo.training.prepare_options.PrepareOptions`.

    Returns
    -------
    PreparedPeaks

    Raises
    ------
    InputError
        An input or option cannot be used, or no peak is kept; nothing is left at `out` and `rna_out`.
    """
    matrices, samples = by_sample(matrix, options.get("samples") or (), "matrices")
    settings = checked_options("prepare", PrepareOptions, options | {"samples": samples})
    out = Path(out)
    inputs = [*(getattr(each, "filename", None) or each for each in matrices), genome, cells_table, *settings.blacklist]
    with contextlib.ExitStack() as stack:
        stack.enter_context(destination(out, overwrite=overwrite, replaceable=files_of_prepared, inputs=inputs))
        if rna_out is not None:
            _check_rna_out(Path(rna_out), out)
            stack.enter_context(destination(rna_out, overwrite=overwrite, inputs=inputs))
        assembly = chosen_assembly(genome_name(genome), assembly)
        reference = Genome(genome)
        if assembly is None:
            assembly = recognised_assembly(reference.path, reference.chromosome_sizes)
        check_assembly(genome, reference.chromosome_sizes, assembly, force=settings.force)
        source = open_matrices(matrices, settings.samples, modality=settings.modality, layer=settings.layer)
        if rna_out is not None:
            check_same_genes([part.gene_counts() for part in source.parts or (source,)])
        if cells_table is not None:
            source = join_cells_table(source, cells_table)
        genome_of_assembly = reference.with_names_of(assembly)
        steps = _Preparation(source, genome_of_assembly, assembly, settings, quiet, cells_table)
        return steps.write(out, rna_out, overwrite=overwrite)


def _check_rna_out(rna_out: Path, out: Path) -> None:
    """Raise InputError unless the file of the genes can stand beside the folder of the prepared peaks."""
    if rna_out.suffix != ".h5ad":
        raise InputError(f"{option('rna_out')} must be an .h5ad file; found {rna_out}.")
    if Path(os.path.abspath(rna_out)).is_relative_to(os.path.abspath(out)):
        raise InputError(f"{option('rna_out')}: {rna_out} is in {out}, which holds the prepared peaks alone. Choose another place.")


class _Preparation:
    """The steps from an open matrix and genome to the files of a prepared peak set."""

    def __init__(
        self, source: PeakMatrix, genome: Genome, assembly: str, options: PrepareOptions, quiet: bool, cells_table: object
    ):
        self.source, self.genome, self.assembly, self.quiet = source, genome, assembly, quiet
        self.cells_table = cells_table
        self.options = options = _with_names_of_peaks(options, source, genome)
        self.given_split = (
            read_split_column(source.peaks, options.split_column, source.where) if options.split_column is not None else None
        )
        self.cells, self.peaks = normal_cells(source), normal_peaks(source, options.split_column)
        self.order = self._order_of_peaks()
        chroms = source.peaks["chrom"].unique()
        if not pd.Series(chroms).isin(list(genome.sizes_by_name)).any():
            genome.require(chroms)
        self.chromosome_names = genome.say_renamed(chroms)
        blacklist = read_blacklist(options.blacklist, lambda names: genome.same_as(names, chroms))
        self.is_blacklisted = in_blacklist(source.peaks, blacklist)
        if not options.allow_overlaps:
            refuse_overlaps(
                source.peaks, source.where, "Make peaks without overlaps with `scbasset-zoo merge-peaks`, and count them again."
            )

    def write(self, out: Path, rna_out: str | os.PathLike[str] | None, *, overwrite: bool) -> PreparedPeaks:
        """Run the steps, and return the prepared peak set at `out`; write the counts of the genes to `rna_out`."""
        source, options, quiet = self.source, self.options, self.quiet
        cells = filter_cells(source, options.min_peaks_per_cell, quiet=quiet)
        reason = filter_peaks(source, cells, self.genome.sizes_by_name, options.min_cell_fraction, self.is_blacklisted)
        n_kept, n_beyond = int((reason == KEPT).sum()), int((reason == REASONS.index(BEYOND_END)).sum())
        if n_beyond > MANY_BEYOND * (n_kept + n_beyond):
            say(
                f"{n_beyond:,} of {n_kept + n_beyond:,} peaks end beyond the end of their chromosome. Are peaks and genome of the "
                "same assembly, and is the genome whole?"
            )
        starts = window_starts(source.peaks, options.length)
        with (
            contextlib.nullcontext() if rna_out is None else new_file(rna_out, overwrite=overwrite) as rna_file,
            new_folder(out, overwrite=overwrite) as folder,
        ):
            n_fraction = self._cut_windows(folder, starts, reason)
            kept = self.order[reason[self.order] == KEPT]
            left_out_peaks = self._left_out_peaks(reason)
            if not len(kept):
                raise self._no_peak_is_kept(left_out_peaks)
            split = assign_splits(source.peaks.iloc[kept], options, None if self.given_split is None else self.given_split[kept])
            if options.min_peaks_per_cell:
                cells = leave_out_emptied_cells(source, cells, reason == KEPT, quiet=quiet)
            n_open_peaks = self._write_labels(folder, cells, kept)
            write_cells(folder / "cells.parquet", self.cells[cells.mask], n_open_peaks=n_open_peaks)
            write_peaks(
                folder / "peaks.parquet",
                self.peaks.iloc[kept],
                window_start=starts[kept],
                n_fraction=n_fraction[kept],
                n_open_cells=cells.n_open_cells[kept],
                split=split,
            )
            if rna_file is not None:
                self._write_genes(rna_file, cells)
            manifest = self._manifest(folder, cells, left_out_peaks, split, n_open_peaks)
            manifest["overlapping_peaks"] = _overlapping_peaks(source.peaks.iloc[kept], split)
            (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        return open_prepared(out)

    def _order_of_peaks(self) -> NDArray[np.intp]:
        """Return the rows of the input's peaks in the order of the prepared peak set."""
        peaks = self.source.peaks
        if self.options.sort_peaks:
            return np.lexsort((peaks["end"], peaks["start"], pd.factorize(peaks["chrom"])[0]))
        check_order(peaks, self.source.where)
        return np.arange(len(peaks))

    def _cut_windows(self, folder: Path, starts: NDArray[np.int64], reason: NDArray[np.int64]) -> NDArray[np.float64]:
        """Write sequences.npy, set the reason of peaks with too many N, and return the fraction of N by peak."""
        options = self.options
        candidates = self.order[reason[self.order] == KEPT]
        n_fraction = np.zeros(self.source.n_peaks)
        n_fraction[candidates] = write_windows(
            folder / "sequences.npy",
            self.genome,
            self.source.peaks["chrom"].to_numpy()[candidates],
            starts[candidates],
            length=options.length,
            flank=options.flank,
            max_n_fraction=options.max_n_fraction,
            quiet=self.quiet,
        )
        reason[candidates[n_fraction[candidates] > options.max_n_fraction]] = REASONS.index(TOO_MANY_N)
        return n_fraction

    def _write_labels(self, folder: Path, cells: KeptCells, kept: NDArray[np.intp]) -> NDArray[np.int64]:
        """Write indptr.npy and indices.npy; return the number of open peaks of each kept cell."""
        indptr = np.concatenate([[0], np.cumsum(cells.n_open_cells[kept])])
        if not indptr[-1]:
            raise InputError(f"{self.source.where}: none of the {len(kept):,} kept peaks is open in any cell.")
        cell_number = np.where(cells.mask, np.cumsum(cells.mask) - 1, -1).astype(np.int32)
        peak_number = np.full(self.source.n_peaks, -1, dtype=np.int32)
        peak_number[kept] = np.arange(len(kept))
        np.save(folder / "indptr.npy", indptr)
        return write_open_cells(
            folder / "indices.npy",
            self.source,
            cell_number=cell_number,
            peak_number=peak_number,
            indptr=indptr,
            quiet=self.quiet,
        )

    def _write_genes(self, path: Path, cells: KeptCells) -> None:
        """Write the counts of the genes in the kept cells."""
        parts = self.source.parts or (self.source,)
        kept = np.split(cells.mask, np.cumsum([part.n_cells for part in parts])[:-1])
        with new_hdf5(path) as file:
            write_gene_counts(file, [part.gene_counts() for part in parts], kept, self.cells.index)

    def _left_out_peaks(self, reason: NDArray[np.int64]) -> dict[str, dict[str, int]]:
        """Count the peaks that are left out, by reason and chromosome."""
        chrom = self.source.peaks["chrom"]
        return {name: chrom[reason == number].value_counts(sort=False).to_dict() for number, name in enumerate(REASONS)}

    def _no_peak_is_kept(self, left_out: dict[str, dict[str, int]]) -> InputError:
        options, source = self.options, self.source
        hint = naming_hint(left_out[NO_CHROMOSOME], self.genome.chromosome_sizes)
        return InputError(
            f"None of the {source.n_peaks:,} peaks of {source.where} is kept.{hint}\n{left_out_table(left_out)}\n"
            f"Lower {option('min_cell_fraction')} (now {options.min_cell_fraction:g}), raise {option('max_n_fraction')} "
            f"(now {options.max_n_fraction:g}), or give a genome with these chromosomes."
        )

    def _manifest(
        self,
        folder: Path,
        cells: KeptCells,
        left_out_peaks: dict[str, dict[str, int]],
        split: NDArray[np.object_],
        n_open_peaks: NDArray[np.int64],
    ) -> dict[str, Any]:
        fasta = self.genome.path
        return {
            "schema_version": SCHEMA_VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": __version__,
            # Files are described by their contents, under "sources".
            "parameters": self.options.model_dump(exclude={"blacklist"}),
            "sources": described_sources(self.source, fasta, self.cells_table, self.options.blacklist),
            "matrices": [{"name": part.name, **part.origin} for part in self.source.parts or (self.source,)],
            "assembly": self.assembly,
            "chromosome_sizes": self.genome.chromosome_sizes,
            "chromosome_names": self.chromosome_names,
            "n_cells": int(cells.mask.sum()),
            "n_peaks": len(split),
            "nnz": int(n_open_peaks.sum()),
            "sequence_length": self.options.length,
            "flank": self.options.flank,
            "n_input_cells": self.source.n_cells,
            "n_input_peaks": self.source.n_peaks,
            "n_empty_cells": int((n_open_peaks == 0).sum()),
            "left_out": {"cells": cells.left_out, "peaks": left_out_peaks},
            "splits": {name: int((split == name).sum()) for name in SPLITS},
            "files": {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in FILES},
        }


def _with_names_of_peaks(options: PrepareOptions, source: PeakMatrix, genome: Genome) -> PrepareOptions:
    """Return the options with the chromosomes of the split named as the peaks name them."""
    chroms = source.peaks["chrom"].unique()
    names = {
        keyword: [genome.same_as([name], chroms).get(name, name) for name in getattr(options, keyword)]
        for keyword in ("test_chroms", "validation_chroms")
    }
    return checked_options("prepare", PrepareOptions, options.model_dump() | names)


def _overlapping_peaks(peaks: pd.DataFrame, split: NDArray[np.object_]) -> dict[str, int]:
    """Count the kept peaks that overlap another one, and those that overlap one of another split."""
    across = sum(overlaps(peaks[split == name], peaks[split != name]).sum() for name in SPLITS)
    return {"all": int(overlapping(peaks).sum()), "across_splits": int(across)}
