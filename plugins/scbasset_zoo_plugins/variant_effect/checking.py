"""Checks variants against the genome, counts those that cannot be scored, and yields the others in blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from scbasset_zoo.extend.sequences import Genome, decode
from scbasset_zoo_plugins.variant_effect.variant_files import Allele

BLOCK = 1024
MOST_LISTED = 1_000
DIFFERS, SWAPPED = "REF is not the genome's sequence", "REF and ALT are swapped: the genome has ALT"
NO_CHROMOSOME = "on a chromosome that the genome lacks"
NO_PEAK = "in the window of no peak"


@dataclass
class Tally:
    """Counts of the variants of a file.

    Attributes
    ----------
    n_alleles : int
        Alternative alleles that were read.
    n_scored : int
    left_out : Counter
        Number of alleles that are not scored, by reason.
    mismatches : list of tuple
        line, chrom, pos, ref, alt, sequence of the genome, and reason, of the first 1,000 alleles whose REF is not the genome's.
    """

    n_alleles: int = 0
    n_scored: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    mismatches: list[tuple[int, str, int, str, str, str, str]] = field(default_factory=list)

    @property
    def n_mismatches(self) -> int:
        return self.left_out[DIFFERS] + self.left_out[SWAPPED]

    def leave_out_of_peaks(self, n: int) -> None:
        """Count alleles that were to be scored, but lie in the window of no peak."""
        if n:
            self.n_scored -= n
            self.left_out[NO_PEAK] += n

    def share_of_mismatches_at(self, offset: int, genome: Genome) -> float:
        """Return for which share of the listed mismatches the genome has REF so many bases after their place."""
        if not self.mismatches:
            return 0.0
        _, chrom, pos, ref, *_ = zip(*self.mismatches, strict=True)
        on = np.array([genome.other_names.get(name, name) for name in chrom], dtype=object)
        width = max(map(len, ref))
        text = decode(genome.windows(on, np.array(pos) - 1 + offset, width).ravel())
        return float(np.mean([text.startswith(bases, row * width) for row, bases in enumerate(ref)]))

    def mismatch_table(self) -> pd.DataFrame:
        """Return the alleles whose REF is not the genome's sequence, a row each."""
        columns = ["line", "chrom", "pos", "ref", "alt", "genome", "reason"]
        return pd.DataFrame(self.mismatches, columns=columns).astype({"line": np.int64, "pos": np.int64})


class AlleleBlocks:
    """The alleles of a source in blocks of 1,024, of which the variants that can be scored are returned.

    Blocks are best asked for in order, because the source is read from its start to the block. The last block is kept.

    Parameters
    ----------
    alleles : callable
        Returns a new iterator over the alleles of the source.
    genome : Genome
    longest : int
        Length that no allele may exceed, in bp.
    """

    def __init__(self, alleles: Callable[[], Iterator[Allele]], genome: Genome, longest: int) -> None:
        self._alleles, self._genome, self._longest = alleles, genome, longest
        self._rows: Iterator[Allele] = iter(())
        self._next = 0
        self._last: tuple[int, pd.DataFrame] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # An open file stays in its process.
        return self.__dict__ | {"_rows": iter(()), "_next": 0, "_last": None}

    def tallied(self, tally: Tally) -> Iterator[pd.DataFrame]:
        """Yield the variants of all blocks, and count in `tally` what is scored and what is left out."""
        rows = self._alleles()
        while batch := tuple(islice(rows, BLOCK)):
            tally.n_alleles += len(batch)
            block = _block(batch, self._genome, self._longest, tally)
            tally.n_scored += len(block)
            yield block

    def block(self, number: int) -> pd.DataFrame:
        """Return the variants of a block that can be scored, in the order of the source.

        Returns
        -------
        DataFrame
            chrom, pos (from 1), id, ref, alt and line as the source has them; `on`, the genome's name of the chromosome; and the
            change itself without the bases that REF and ALT share at their ends: `start` (first changed base, from 0), `old` and
            `new`.
        """
        if self._last is not None and self._last[0] == number:
            return self._last[1]
        if number < self._next or not self._next:
            self._rows, self._next = self._alleles(), 0
        for _ in islice(self._rows, (number - self._next) * BLOCK):
            pass
        self._next = number + 1
        block = _block(tuple(islice(self._rows, BLOCK)), self._genome, self._longest, Tally())
        self._last = number, block
        return block


def _block(batch: tuple[Allele, ...], genome: Genome, longest: int, tally: Tally) -> pd.DataFrame:
    sizes = genome.chromosome_sizes
    kept: list[Allele] = []
    names: list[str] = []
    for allele in batch:
        on = genome.other_names.get(allele.chrom, allele.chrom)
        reason = _reason(allele, longest, sizes.get(on))
        if reason:
            tally.left_out[reason] += 1
        else:
            kept.append(allele)
            names.append(on)
    frame = pd.DataFrame(kept, columns=list(Allele._fields))
    if not kept:
        return frame.reindex(columns=[*Allele._fields, "on", "start", "old", "new"])
    width = max(max(len(allele.ref), len(allele.alt)) for allele in kept)
    text = decode(genome.windows(np.array(names, dtype=object), frame["pos"].to_numpy() - 1, width).ravel())
    agrees = np.ones(len(kept), dtype=bool)
    for row, allele in enumerate(kept):
        bases = text[row * width : row * width + width]
        if not bases.startswith(allele.ref):
            agrees[row] = False
            reason = SWAPPED if bases.startswith(allele.alt) else DIFFERS
            tally.left_out[reason] += 1
            if len(tally.mismatches) < MOST_LISTED:
                chrom, pos, _, ref, alt, line = allele
                tally.mismatches.append((line, chrom, pos, ref, alt, bases[: max(len(ref), len(alt))], reason))
    changes = [_trimmed(allele) for allele in kept]
    frame["on"] = names
    frame["start"], frame["old"], frame["new"] = (list(column) for column in zip(*changes, strict=True))
    return frame[agrees].reset_index(drop=True)


def _reason(allele: Allele, longest: int, size: int | None) -> str:
    """Return why an allele cannot be scored; "" if it can."""
    ref, alt = allele.ref, allele.alt
    if alt == "*":
        return "spanning deletions (*)"
    if alt in ("", "."):
        return "without an alternative"
    if alt.startswith("<"):
        return "symbolic alleles, such as <DEL>"
    if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
        return "breakends"
    if not set(alt) | set(ref) <= set("ACGT"):
        return "alleles that are not sequences of A, C, G and T"
    if ref == alt:
        return "alternatives equal to REF"
    if max(len(ref), len(alt)) > longest:
        return f"alleles longer than {longest:,} bp"
    if size is None:
        return NO_CHROMOSOME
    if allele.pos < 1 or allele.pos - 1 + len(ref) > size:
        return "beyond the end of their chromosome"
    return ""


def _trimmed(allele: Allele) -> tuple[int, str, str]:
    """Return the first changed base (from 0), and the alleles without the bases that they share at the end and at the start."""
    start, old, new = allele.pos - 1, allele.ref, allele.alt
    if len(old) == len(new) == 1:
        return start, old, new
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    n_same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    return start + n_same, old[n_same:], new[n_same:]
