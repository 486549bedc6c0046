"""Cut the windows that a model reads: around peaks of a genome, or from sequences of the right length."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.files import checked_path
from scbasset_zoo.inputs.assemblies import check_genome_of_model, naming_hint, require_named_genome
from scbasset_zoo.inputs.bed import read_bed
from scbasset_zoo.inputs.dna import Codes, as_codes, encode
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.inputs.hdf5_filters import load_hdf5_filters
from scbasset_zoo.inputs.named_genome import genome_name
from scbasset_zoo.inputs.peaks import peak_names, peaks_from_var
from scbasset_zoo.inputs.text_files import is_plain, open_text
from scbasset_zoo.progress import say
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    import anndata as ad

PeaksLike: TypeAlias = "str | os.PathLike[str] | pd.DataFrame | ad.AnnData | Sequence[str]"
GenomeLike: TypeAlias = str | os.PathLike[str] | Genome


@dataclass(frozen=True)
class Windows:
    """Windows of one length, whose sequence is read when it is needed.

    Attributes
    ----------
    var : DataFrame of n rows
        One row a window; the index has distinct names. Peaks have the columns chrom, start, end (0-based, half-open) and name.
    read : callable
        ``read(first, last)`` returns the codes of the windows `first` to `last`, int8 of shape (last - first, length).
    rows : int array (n,), or None
        Positions of the windows' peaks among the peaks that were given. None if no peak was left out.
    chromosome_names : dict of str to str
        The genome's name of each chromosome that the peaks name otherwise.
    genome : Genome, or None
        The genome of peaks; None for sequences.
    """

    var: pd.DataFrame
    read: Callable[[int, int], Codes]
    rows: NDArray[np.intp] | None = None
    chromosome_names: Mapping[str, str] = field(default_factory=dict)
    genome: Genome | None = None

    def __len__(self) -> int:
        return len(self.var)


def peak_windows(
    peaks: PeaksLike,
    genome: GenomeLike,
    length: int,
    *,
    assembly: str,
    chromosome_sizes: Mapping[str, int],
    force: bool = False,
    strict: bool = True,
) -> Windows:
    """Cut a window around the centre of each peak, as in training.

    The centre is ``(start + end) // 2``. The window is ``centre - length // 2`` to ``centre - length // 2 + length`` (0-based,
    half-open); where it extends beyond the chromosome, its sequence is N.

    Parameters
    ----------
    peaks : path, DataFrame, AnnData or sequence of str
        A BED file; an .h5ad or .h5mu file, an AnnData or a MuData, of which `.var` is read; a table with chrom, start,
        end; or names such as "chr1:100-600". Peaks may be in any order and may repeat.
    genome : path or Genome
        The genome of the assembly: FASTA (plain, gzip or bgzip), .2bit, or a name such as hg38.
    length : int
        Length of each window, in bp.
    assembly : str
        The assembly that the model was trained on, for example "hg19".
    chromosome_sizes : mapping of str to int
        Chromosome lengths of that assembly, in bp. The FASTA must have the same.
    force : bool
        Use a FASTA of another assembly too, with a line on standard error.
    strict : bool
        Refuse peaks that the FASTA does not have: those on other chromosomes, and those whose centre lies beyond the end of theirs.
        If false, they are left out as in :func:`scbasset_zoo.prepare`, and a line on standard error counts them.

    Raises
    ------
    InputError
        The FASTA is of another assembly, or lacks peaks: one of them, or all if not `strict`.
    """
    table = _peak_table(peaks)
    genome = genome_of_model(genome, assembly, chromosome_sizes, force=force)
    rows = _rows_in(table, genome, strict=strict)
    if rows is not None:
        table = table.iloc[rows]
    chroms, starts = table["chrom"].to_numpy(), window_starts(table, length)
    renamed = genome.say_renamed(table["chrom"].unique())

    def read(first: int, last: int) -> Codes:
        return genome.windows(chroms[first:last], starts[first:last], length)

    return Windows(table, read, rows, renamed, genome)


def genome_of_model(genome: GenomeLike, assembly: str, chromosome_sizes: Mapping[str, int], *, force: bool = False) -> Genome:
    """Open a genome, check that it is the one that a model was trained on, and let it know its chromosomes by their other names.

    Parameters and errors are those of :func:`peak_windows`.
    """
    name = None if isinstance(genome, Genome) else genome_name(genome)
    if name is not None and not force:
        require_named_genome(name, assembly)
    opened = genome if isinstance(genome, Genome) else Genome(genome)
    check_genome_of_model(opened.path, opened.chromosome_sizes, assembly, chromosome_sizes, force=force)
    return opened.with_names_of(assembly, chromosome_sizes)


def window_starts(peaks: pd.DataFrame, length: int) -> NDArray[np.int64]:
    """Return the first base (0-based) of each peak's window, ``(start + end) // 2 - length // 2``; it may be negative."""
    return _centres(peaks) - length // 2


def sequence_windows(sequences: Sequence[str] | NDArray[Any], length: int, names: Iterable[str] | None = None) -> Windows:
    """Take sequences of the model's length as windows, in any form that :func:`scbasset_zoo.inputs.dna.as_codes` accepts."""
    codes = as_codes(sequences, length)
    index = [f"sequence_{i}" for i in range(len(codes))] if names is None else list(names)
    return Windows(pd.DataFrame(index=_distinct(index)), lambda first, last: codes[first:last])


def fasta_windows(path: str | os.PathLike[str], length: int) -> Windows:
    """Take each record of a FASTA file as a window; records have the model's length and are read when they are needed.

    The name of a window is the first word of the record's title. The file may be gzip.

    Raises
    ------
    InputError
        The file is missing or is not a FASTA, or a record has another length: the message names it.
    """
    path = Path(path)
    names: list[str] = []
    offsets: list[int] = []
    # Records of other files cannot be found again by their offset, so their codes stay in memory.
    codes: list[Codes] | None = None if is_plain(path) else []
    with readable(str(path)), path.open("rb") if codes is None else open_text(path) as file:
        lines = (line if isinstance(line, bytes) else line.encode() for line in file)
        for name, offset, sequence in _records(lines, path):
            names.append(name or f"sequence_{len(names)}")
            offsets.append(offset)
            if codes is not None:
                codes.append(encode(sequence))
            if b"\0" in sequence:
                raise InputError(f"{path}, record {len(names)} ({names[-1]!r}) has NUL bytes: the file is damaged. Fetch it again.")
            if len(sequence) != length:
                raise InputError(
                    f"{path}, record {len(names)} ({names[-1]!r}) has {len(sequence):,} bp; the model takes {length:,} bp. "
                    "Cut or extend each sequence around its centre."
                )
    if not names:
        raise InputError(f"{path} has no FASTA record. A record begins with '>'.")

    def read(first: int, last: int) -> Codes:
        if first >= last:
            return np.empty((0, length), np.int8)
        if codes is not None:
            return np.stack(codes[first:last])
        with path.open("rb") as file:
            file.seek(offsets[first])
            return np.stack([encode(sequence) for _, _, sequence in islice(_records(file, path), last - first)])

    return Windows(pd.DataFrame(index=_distinct(names)), read)


def _records(lines: Iterable[bytes], path: Path) -> Iterator[tuple[str, int, bytes]]:
    """Yield the first word of each title, the offset of the record after the first line, and its sequence.

    Biopython's parser does not give the offset; pyfaidx does not allow the same title twice.
    """
    title: str | None = None
    parts: list[bytes] = []
    record_offset = offset = 0
    for line in lines:
        if line.startswith(b">"):
            if title is not None:
                yield title, record_offset, b"".join(parts)
            title, parts, record_offset = (line[1:].split() or [b""])[0].decode("utf-8", "replace"), [], offset
        elif title is None and line.strip():
            raise InputError(f"{path} is not a FASTA file: its first line is {line[:60]!r}; expected '>' and a name.")
        else:
            parts += line.split()
        offset += len(line)
    if title is not None:
        yield title, record_offset, b"".join(parts)


def _peak_table(peaks: PeaksLike) -> pd.DataFrame:
    """Return chrom, start, end and name, indexed by the row names of an AnnData, or else by chrom:start-end."""
    has_row_names = False
    if isinstance(peaks, str | os.PathLike):
        stored = _stored_peaks(Path(peaks))
        table, has_row_names = (read_bed(peaks), False) if stored is None else (stored, True)
    elif isinstance(peaks, pd.DataFrame):
        table = peaks_from_var(peaks, "the table of peaks")
        table["name"] = peaks["name"].astype(str).to_numpy() if "name" in peaks else peak_names(table)
    elif isinstance(getattr(peaks, "mod", None), Mapping):
        from scbasset_zoo.inputs.mudata_matrix import var_of_mudata

        table, has_row_names = peaks_from_var(var_of_mudata(peaks), ".var of the MuData"), True
    elif (var := getattr(peaks, "var", None)) is not None:
        table, has_row_names = peaks_from_var(var, ".var of the AnnData"), True
    else:
        table = peaks_from_var(pd.DataFrame(index=pd.Index(list(peaks), dtype=object)), "the list of peaks")
    table = table[["chrom", "start", "end", "name"]]
    return table.set_axis(_distinct(table["name"] if has_row_names else peak_names(table)), axis=0)


def _stored_peaks(path: Path) -> pd.DataFrame | None:
    """Return the peaks of a matrix on disk; None if the file is not a matrix, for example BED."""
    import h5py

    with readable(str(checked_path(path))):
        is_matrix = path.is_dir() or h5py.is_hdf5(path)
    if not is_matrix:
        if path.suffix in (".h5ad", ".h5mu"):
            raise InputError(f"{path} is not an {path.suffix} file, or does not exist.")
        return None
    import anndata as ad
    import zarr

    from scbasset_zoo.inputs.matrix import open_matrix
    from scbasset_zoo.inputs.outside_links import check_no_outside_links

    check_no_outside_links(path)
    load_hdf5_filters()
    with readable(str(path)), h5py.File(path) if path.is_file() else nullcontext(zarr.open_group(path, mode="r")) as file:
        # The joint .var of a MuData has genes, too.
        var = ad.io.read_elem(file["var"]) if "var" in file and "mod" not in file else None
    if isinstance(var, pd.DataFrame) and "feature_types" not in var:
        return peaks_from_var(var, f"{path}, .var")
    return open_matrix(path).peaks


def _centres(peaks: pd.DataFrame) -> NDArray[np.int64]:
    centres: NDArray[np.int64] = (peaks["start"] + peaks["end"]).to_numpy() // 2
    return centres


def _rows_in(table: pd.DataFrame, genome: Genome, *, strict: bool) -> NDArray[np.intp] | None:
    """Return the rows of the peaks that the genome has, or None if it has all.

    Raises
    ------
    InputError
        The chromosome of a peak is missing, or its centre lies beyond the chromosome's end. If not `strict`: this holds for all.
    """
    sizes = table["chrom"].map(genome.sizes_by_name)
    missing = np.flatnonzero(sizes.isna())
    beyond = np.flatnonzero(_centres(table) >= sizes.to_numpy())
    n_outside = len(missing) + len(beyond)
    if not n_outside:
        return None
    if not strict and n_outside < len(table):
        _say_left_out(table, missing, beyond, genome)
        return np.setdiff1d(np.arange(len(table)), np.concatenate([missing, beyond]))
    if len(missing):
        chrom = table["chrom"].iloc[missing[0]]
        raise InputError(
            f"{_first_peak(table, missing)}: {genome.path} has no chromosome {chrom}."
            f"{naming_hint([chrom], genome.chromosome_sizes)} Give the whole genome, or leave these peaks out."
        )
    raise InputError(
        f"{_first_peak(table, beyond)}: the centre lies beyond the chromosome's end ({int(sizes.iloc[beyond[0]]):,} bp in "
        f"{genome.path}). Are the peaks of the same assembly?"
    )


def _say_left_out(table: pd.DataFrame, missing: NDArray[np.intp], beyond: NDArray[np.intp], genome: Genome) -> None:
    reasons = []
    if len(missing):
        chroms = table["chrom"].iloc[missing].unique()
        named = ", ".join(map(str, chroms[:3])) + (f" and {len(chroms) - 3:,} more" if len(chroms) > 3 else "")
        reasons.append(f"{len(missing):,} on chromosomes that {genome.path} lacks ({named})")
    if len(beyond):
        reasons.append(f"{len(beyond):,} whose centre lies beyond the end of their chromosome")
    n_outside = len(missing) + len(beyond)
    say(f"{n_outside:,} of {len(table):,} peaks are left out: {'; '.join(reasons)}. {option('strict', True)} refuses such peaks.")


def _first_peak(table: pd.DataFrame, rows: NDArray[np.intp]) -> str:
    chrom, start, end = table.iloc[rows[0]][["chrom", "start", "end"]]
    more = f", and {len(rows) - 1:,} more" if len(rows) > 1 else ""
    return f"Peak {rows[0]} (counting from 0), {chrom}:{start}-{end}{more}"


def _distinct(names: Iterable[str]) -> pd.Index:
    index = pd.Index(list(names), dtype=object)
    if index.is_unique:
        return index
    from anndata.utils import make_index_unique

    return make_index_unique(index)
