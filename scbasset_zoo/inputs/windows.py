"""Which DNA a prediction is for: windows around peaks of a genome, or sequences given by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.inputs.assemblies import known_sizes, naming_hint
from scbasset_zoo.inputs.dna import Codes, as_codes, encode
from scbasset_zoo.inputs.genome import Genome, check_sizes
from scbasset_zoo.inputs.peaks import peak_names, peaks_from_var, read_bed

if TYPE_CHECKING:
    import anndata as ad

PeaksLike: TypeAlias = "str | os.PathLike[str] | pd.DataFrame | ad.AnnData | Sequence[str]"
GenomeLike: TypeAlias = str | os.PathLike[str] | Genome


@dataclass(frozen=True)
class Windows:
    """n windows of one length.

    Attributes
    ----------
    var : DataFrame of n rows
        One row a window, distinct names as index; chrom, start, end (0-based, half-open) and name for peaks of a genome.
    read : callable
        ``read(first, last)`` gives the codes of those windows, int8 (last - first, length).
    """

    var: pd.DataFrame
    read: Callable[[int, int], Codes]

    def __len__(self) -> int:
        return len(self.var)


def peak_windows(
    peaks: PeaksLike, genome: GenomeLike, length: int, *, assembly: str, chromosome_sizes: Mapping[str, int]
) -> Windows:
    """Cut a window around the centre of each peak, (start + end) // 2, as in training.

    Parameters
    ----------
    peaks : path, DataFrame, AnnData or sequence of str
        A BED file or the `.var` of an .h5ad file, a table with chrom, start, end, the `.var` of an AnnData, or names
        such as "chr1:100-600". In any order, and the same peak may come twice.
    genome : path or Genome
        The FASTA of the assembly, plain or bgzip.
    length : int
        Of each window, in bp.
    assembly : str
        The assembly that the model was trained on, as "hg19".
    chromosome_sizes : mapping of str to int
        Lengths of its chromosomes, in bp, which the FASTA must have.

    Raises
    ------
    InputError
        The FASTA is of another assembly, or a peak lies outside its chromosomes: every peak asked for gets a prediction.
    """
    table = _peak_table(peaks)
    genome = genome if isinstance(genome, Genome) else Genome(genome)
    check_sizes(genome, known_sizes(assembly) | dict(chromosome_sizes), f"the model was trained on {assembly}")
    chroms, centres = table["chrom"].to_numpy(), (table["start"] + table["end"]).to_numpy() // 2
    _require_on_genome(table, centres, genome)
    starts = centres - length // 2
    return Windows(table, lambda first, last: genome.windows(chroms[first:last], starts[first:last], length))


def sequence_windows(sequences: Sequence[str] | NDArray[Any], length: int, names: Iterable[str] | None = None) -> Windows:
    """Sequences of the model's length, in any form that :func:`scbasset_zoo.inputs.dna.as_codes` takes."""
    codes = as_codes(sequences, length)
    index = [f"sequence_{i}" for i in range(len(codes))] if names is None else list(names)
    return Windows(pd.DataFrame(index=_distinct(index)), lambda first, last: codes[first:last])


def fasta_windows(path: str | os.PathLike[str], length: int) -> Windows:
    """Each record of a FASTA file as one sequence of the model's length, under the first word of its title; read where used.

    Raises
    ------
    InputError
        No such file, no FASTA, or a record of another length: the message names it.
    """
    path = Path(path)
    names: list[str] = []
    offsets: list[int] = []
    with readable(str(path)), path.open("rb") as file:
        for name, offset, sequence in _records(file, path):
            names.append(name or f"sequence_{len(names)}")
            offsets.append(offset)
            if len(sequence) != length:
                raise InputError(
                    f"{path}, record {len(names)} ({names[-1]!r}) has {len(sequence):,} bp; the model takes {length:,}. "
                    "Cut or extend each sequence around its centre."
                )
    if not names:
        raise InputError(f"{path} has no FASTA record; a record begins with '>'.")

    def read(first: int, last: int) -> Codes:
        if first >= last:
            return np.empty((0, length), np.int8)
        with path.open("rb") as file:
            file.seek(offsets[first])
            return np.stack([encode(sequence) for _, _, sequence in islice(_records(file, path), last - first)])

    return Windows(pd.DataFrame(index=_distinct(names)), read)


def _records(file: BinaryIO, path: Path) -> Iterator[tuple[str, int, bytes]]:
    """First word of each title, where its line begins, and its sequence; from a file that is at the start of a record."""
    title: str | None = None
    lines: list[bytes] = []
    begins = at = file.tell()
    for line in file:
        if line.startswith(b">"):
            if title is not None:
                yield title, begins, b"".join(lines)
            title, lines, begins = (line[1:].split() or [b""])[0].decode("utf-8", "replace"), [], at
        elif title is None and line.strip():
            raise InputError(
                f"{path} is no plain FASTA file: its first line is {line[:60]!r}; expected '>' and a name. If it is "
                "compressed, decompress it first."
            )
        else:
            lines += line.split()
        at += len(line)
    if title is not None:
        yield title, begins, b"".join(lines)


def _peak_table(peaks: PeaksLike) -> pd.DataFrame:
    """chrom, start, end, name; indexed by the names in an AnnData, else by chrom:start-end."""
    own_names = False
    if isinstance(peaks, str | os.PathLike):
        stored = _stored_peaks(Path(peaks))
        table, own_names = (read_bed(peaks), False) if stored is None else (stored, True)
    elif isinstance(peaks, pd.DataFrame):
        table = peaks_from_var(peaks, "the table of peaks")
        table["name"] = peaks["name"].astype(str).to_numpy() if "name" in peaks else peak_names(table)
    elif (var := getattr(peaks, "var", None)) is not None:
        table, own_names = peaks_from_var(var, ".var of the AnnData"), True
    else:
        table = peaks_from_var(pd.DataFrame(index=pd.Index(list(peaks), dtype=object)), "the list of peaks")
    table = table[["chrom", "start", "end", "name"]]
    return table.set_axis(_distinct(table["name"] if own_names else peak_names(table)), axis=0)


def _stored_peaks(path: Path) -> pd.DataFrame | None:
    """Peaks of a matrix on disk, whatever its values; None of a file that is none, such as BED."""
    import h5py

    if not path.is_dir() and not h5py.is_hdf5(path):
        if path.suffix == ".h5ad":
            raise InputError(f"{path} is not an .h5ad file, or is not there.")
        return None
    import anndata as ad
    import zarr

    from scbasset_zoo.inputs.matrix import open_matrix

    with readable(str(path)), h5py.File(path) if path.is_file() else nullcontext(zarr.open_group(path, mode="r")) as file:
        var = ad.io.read_elem(file["var"]) if "var" in file else None
    if isinstance(var, pd.DataFrame):
        return peaks_from_var(var, f"{path}, .var")
    return open_matrix(path).peaks


def _require_on_genome(table: pd.DataFrame, centres: NDArray[np.int64], genome: Genome) -> None:
    sizes = table["chrom"].map(genome.chromosome_sizes)
    unknown = np.flatnonzero(sizes.isna())
    if len(unknown):
        chrom = table["chrom"].iloc[unknown[0]]
        raise InputError(
            f"{_first(table, unknown)}: {genome.path} has no chromosome {chrom}."
            f"{naming_hint([chrom], genome.chromosome_sizes)} Give the whole genome, or leave these peaks out."
        )
    beyond = np.flatnonzero(centres >= sizes.to_numpy())
    if len(beyond):
        raise InputError(
            f"{_first(table, beyond)}: the centre lies beyond the chromosome's end ({int(sizes.iloc[beyond[0]]):,} bp in "
            f"{genome.path}). Are the peaks of the same assembly?"
        )


def _first(table: pd.DataFrame, rows: NDArray[np.intp]) -> str:
    chrom, start, end = table.iloc[rows[0]][["chrom", "start", "end"]]
    more = f", and {len(rows) - 1:,} more like it" if len(rows) > 1 else ""
    return f"Peak {rows[0]} (counting from 0), {chrom}:{start}-{end}{more}"


def _distinct(names: Iterable[str]) -> pd.Index:
    index = pd.Index(list(names), dtype=object)
    if index.is_unique:
        return index
    from anndata.utils import make_index_unique

    return make_index_unique(index)
