"""Which DNA a prediction is for: windows around peaks of a genome, or sequences given by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.card import Card
from scbasset_zoo.dna import Codes, as_codes
from scbasset_zoo.errors import InputError
from scbasset_zoo.genome import Genome, check_sizes, naming_hint
from scbasset_zoo.peaks import peak_names, peaks_from_var, read_bed

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


def peak_windows(peaks: PeaksLike, genome: GenomeLike, card: Card) -> Windows:
    """Windows of the model's length around the peaks' centres, (start + end) // 2, as in training.

    Parameters
    ----------
    peaks : path, DataFrame, AnnData or sequence of str
        A BED file or the `.var` of an .h5ad file, a table with chrom, start, end, the `.var` of an AnnData, or names
        such as "chr1:100-600". In any order, and the same peak may come twice.
    genome : path or Genome
        The FASTA, plain or bgzip, of the assembly that the card names.
    card : Card

    Raises
    ------
    InputError
        The FASTA is of another assembly, or a peak lies outside its chromosomes: every peak asked for gets a prediction.
    """
    table = _peak_table(peaks)
    genome = genome if isinstance(genome, Genome) else Genome(genome)
    check_sizes(genome, card.genome.chromosome_sizes, f"the model was trained on {card.genome.assembly}")
    chroms, centres = table["chrom"].to_numpy(), (table["start"] + table["end"]).to_numpy() // 2
    _require_on_genome(table, centres, genome)
    starts, length = centres - card.input.length // 2, card.input.length
    return Windows(table, lambda first, last: genome.windows(chroms[first:last], starts[first:last], length))


def sequence_windows(sequences: Sequence[str] | NDArray[Any], length: int, names: Iterable[str] | None = None) -> Windows:
    """Sequences of the model's length, in any form that :func:`scbasset_zoo.dna.as_codes` takes."""
    codes = as_codes(sequences, length)
    index = [f"sequence_{i}" for i in range(len(codes))] if names is None else list(names)
    return Windows(pd.DataFrame(index=_distinct(index)), lambda first, last: codes[first:last])


def fasta_windows(path: str | os.PathLike[str], length: int) -> Windows:
    """Each record of a FASTA file as one sequence of the model's length, under the first word of its title.

    Raises
    ------
    InputError
        No such file, no FASTA, or a record of another length: the message names it.
    """
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    path = Path(path)
    names: list[str] = []
    sequences: list[str] = []
    try:
        with path.open(encoding="ascii") as file:
            for title, sequence in SimpleFastaParser(file):
                names.append((title.split() or [f"sequence_{len(names)}"])[0])
                sequences.append(sequence)
                if len(sequence) != length:
                    raise InputError(
                        f"{path}, record {len(names)} ({names[-1]!r}) has {len(sequence):,} bp; the model takes {length:,}. "
                        "Cut or extend each sequence around its centre."
                    )
    except OSError as error:
        raise InputError(f"The FASTA {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a plain FASTA file; if it is compressed, decompress it first.") from error
    if not names:
        raise InputError(f"{path} has no FASTA record; a record begins with '>'.")
    return sequence_windows(sequences, length, names)


def _peak_table(peaks: PeaksLike) -> pd.DataFrame:
    """chrom, start, end, name; indexed by the names in an AnnData, else by chrom:start-end."""
    own_names = False
    if isinstance(peaks, str | os.PathLike):
        if Path(peaks).suffix == ".h5ad":
            table, own_names = peaks_from_var(_stored_var(Path(peaks)), f"{peaks}, .var"), True
        else:
            table = read_bed(peaks)
    elif isinstance(peaks, pd.DataFrame):
        table = peaks_from_var(peaks, "the table of peaks")
        table["name"] = peaks["name"].astype(str).to_numpy() if "name" in peaks else peak_names(table)
    elif (var := getattr(peaks, "var", None)) is not None:
        table, own_names = peaks_from_var(var, ".var of the AnnData"), True
    else:
        table = peaks_from_var(pd.DataFrame(index=pd.Index(list(peaks), dtype=object)), "the list of peaks")
    table = table[["chrom", "start", "end", "name"]]
    return table.set_axis(_distinct(table["name"] if own_names else peak_names(table)), axis=0)


def _stored_var(path: Path) -> pd.DataFrame:
    import anndata as ad
    import h5py

    if not path.is_file() or not h5py.is_hdf5(path):
        raise InputError(f"{path} is not an .h5ad file, or is not there.")
    with h5py.File(path, "r") as file:
        var = ad.io.read_elem(file["var"]) if "var" in file else None
    if not isinstance(var, pd.DataFrame):
        raise InputError(f"{path} has no .var; expected an AnnData of cells x peaks.")
    return var


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
