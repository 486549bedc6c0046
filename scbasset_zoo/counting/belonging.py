"""Checks that fragments, peaks and genes belong together: names of chromosomes, and more insertions in peaks than by chance."""

from __future__ import annotations

import stat
from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from scbasset_zoo.counting.fragment_counts import MITOCHONDRIA, FragmentCounts
from scbasset_zoo.counting.interval_index import IntervalIndex
from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.assemblies import some_names
from scbasset_zoo.inputs.chromosome_names import two_names_of_one
from scbasset_zoo.progress import say
from scbasset_zoo.wording import option

# Peaks of the right assembly hold several times as many insertions as chance. Fewer insertions than these show nothing.
LEAST_ENRICHMENT = 1.5
LEAST_INSERTIONS = 10_000
MOST_COVERED = 0.3
# Narrower intervals are summits rather than peaks, in bp.
NARROWEST = 20


def require_file(path: Path, what: str) -> None:
    """Raise InputError unless there is a file that can be read more than once; `what` it is, for the message."""
    if not path.exists():
        raise InputError(f"There is no {what} {path}.")
    if not stat.S_ISREG(path.stat().st_mode):
        kind = "a folder" if path.is_dir() else "a pipe or another special file, and it is read twice"
        raise InputError(f"{path} is {kind}; expected the {what} as a file.")


def check_widths(peaks: pd.DataFrame, path: Path, *, force: bool) -> None:
    """Raise InputError if peaks are so narrow that they must be summits; with `force`, say so."""
    width = int((peaks["end"] - peaks["start"]).median())
    if width >= NARROWEST:
        return
    problem = (
        f"{path}: half of the intervals have {width:,} bp or less, as summits have, and hold hardly any insertion. "
        "`scbasset-zoo merge-peaks` makes peaks of one width around them."
    )
    if not force:
        raise InputError(f"{problem} {option('force', True)} counts all the same.")
    say(problem)


def check_names(where: str, chroms: Collection[str], other: str, chroms_of_other: Collection[str]) -> None:
    """Raise InputError if files name a chromosome differently, with and without "chr".

    Parameters
    ----------
    where : str
        The file whose chromosomes are looked up, such as the peaks.
    chroms : collection of str
    other : str
        The other file, such as the fragments.
    chroms_of_other : collection of str
    """
    if twin := two_names_of_one(chroms, chroms_of_other):
        raise InputError(
            f"{where} has the chromosome {twin[0]}, {other} has {twin[1]}. With {option('assembly')} of a listed assembly, such as "
            "hg38, chromosomes are found by each of their names; or write the same names in all files."
        )


def check_counts(
    fragments: Path, peaks_file: Path, peaks: pd.DataFrame, index: IntervalIndex, found: FragmentCounts, sizes: Mapping[str, int],
    *, force: bool,
) -> float:  # fmt: skip
    """Check the counts of a file against its peaks, and return the share of the genome that lies in peaks.

    Parameters
    ----------
    fragments, peaks_file : Path
    peaks : DataFrame
        chrom, by the names of the index.
    index : IntervalIndex
    found : FragmentCounts
    sizes : mapping of str to int
        Lengths of chromosomes in bp, where they are known; elsewhere the last fragment is the end.
    force : bool
        Say that peaks hold no more insertions than by chance, in place of the error.

    Raises
    ------
    InputError
        No chromosome is in both, a chromosome is named in two ways, or peaks hold no more insertions than by chance.
    """
    seen = found.chromosome_ends
    check_names(str(peaks_file), index.chroms, str(fragments), seen)
    if not index.chroms & set(seen):
        raise InputError(
            f"{fragments} and {peaks_file} have no chromosome in common: fragments are on {some_names(seen)}, peaks on "
            f"{some_names(sorted(index.chroms))}."
        )
    is_empty = ~peaks["chrom"].isin(list(seen)).to_numpy()
    if is_empty.any():
        chroms = some_names(peaks["chrom"][is_empty].unique())
        say(f"{is_empty.sum():,} of {len(peaks):,} peaks lie on chromosomes without fragments in {fragments}: {chroms}.")
    ends = {chrom: sizes.get(chrom, end) for chrom, end in seen.items() if chrom not in MITOCHONDRIA}
    covered = sum(map(index.covered, ends)) / max(1, sum(ends.values()))
    n_insertions, n_in_peaks = 2 * int(found.n_fragments.sum()), int(found.n_in_peaks.sum())
    if n_insertions >= LEAST_INSERTIONS and covered < MOST_COVERED and n_in_peaks < LEAST_ENRICHMENT * covered * n_insertions:
        problem = (
            f"{fragments}: {n_in_peaks / n_insertions:.2%} of the insertions lie in peaks of {peaks_file}, which cover "
            f"{covered:.2%} of the genome: hardly more than by chance. Are fragments and peaks of the same assembly?"
        )
        if not force:
            raise InputError(f"{problem} {option('force', True)} counts all the same.")
        say(problem)
    return covered
