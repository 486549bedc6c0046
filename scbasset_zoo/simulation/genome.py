"""Simulate a genome: plant motifs in background sequence, with a peak around them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.inputs.dna import Codes, decode, reverse_complement
from scbasset_zoo.inputs.shuffle import shuffle
from scbasset_zoo.progress import progress
from scbasset_zoo.simulation.background import STRETCH

JITTER = 20  # a peak's centre lies within this many bp of the middle of its stretch
STRETCHES_PER_CHROMOSOME = 3_000
SLOTS, SLOT = 25, 16  # motifs lie in slots of 16 bp, within 200 bp of the peak's centre
SITES_PER_SLOT = 0.02  # chance that a slot has a motif of one given TF: 0.5 instances a peak
MOST_SITES = 3  # most instances of one TF in one peak


@dataclass(frozen=True)
class SimulatedPeaks:
    """Peaks of a simulated genome, and the motifs planted in them.

    Attributes
    ----------
    var : DataFrame
        chr, start, end (0-based, half-open) of each peak, indexed by name; base_logit once it is drawn.
    strengths : float32 (n_peaks, n_tfs)
        Summed strength of the planted motif instances of each TF in each peak.
    sites : DataFrame
        Planted instances: chrom, start, end, strand, tf, score, peak.
    """

    var: pd.DataFrame
    strengths: NDArray[np.float32]
    sites: pd.DataFrame

    @property
    def base(self) -> NDArray[np.float32]:
        """Logits of each peak that its sequence does not explain, (n_peaks,)."""
        base: NDArray[np.float32] = self.var["base_logit"].to_numpy()
        return base


def write_genome(
    path: Path,
    background: Codes,
    motifs: dict[str, NDArray[np.float64]],
    n_peaks: int,
    peak_width: int,
    rng: np.random.Generator,
    quiet: bool,
) -> SimulatedPeaks:
    """Write the FASTA of the genome and its index, one chromosome at a time.

    Parameters
    ----------
    path : Path
        The FASTA to write.
    background : int8 (n, STRETCH)
        Codes of the stretches in which motifs are planted. If there are fewer than peaks, shuffled copies follow.
    motifs : dict of str to (length, 4) array
        PWM of each TF.
    n_peaks : int
    peak_width : int
        In bp.
    rng : numpy.random.Generator
    quiet : bool
        Show no progress.
    """
    all_peaks, all_strengths, all_sites = [], [], []
    # The index is closed after the FASTA, because readers rebuild an index that is older than its FASTA.
    with (
        path.with_name(path.name + ".fai").open("w") as index,
        path.open("w") as fasta,
        progress("planting motifs", n_peaks, quiet=quiet) as advance,
    ):
        for number, first in enumerate(range(0, n_peaks, STRETCHES_PER_CHROMOSOME), start=1):
            rows = np.arange(first, min(first + STRETCHES_PER_CHROMOSOME, n_peaks))
            stretches = background[rows % len(background)]
            for row in np.flatnonzero(rows >= len(background)):
                stretches[row] = shuffle(stretches[row], rng)[0]
            chromosome = f"chrS{number}"
            jitter = rng.integers(-JITTER, JITTER + 1, len(rows))
            start = np.arange(len(rows)) * STRETCH + STRETCH // 2 + jitter - peak_width // 2
            peaks = pd.DataFrame({"chr": chromosome, "start": start, "end": start + peak_width})
            peaks.index = pd.Index([f"{chromosome}:{s}-{s + peak_width}" for s in start], name="peak")
            strengths, sites = _plant(stretches, STRETCH // 2 + jitter, motifs, rng)
            sites.insert(0, "chrom", chromosome)
            sites["start"] += sites["row"] * STRETCH
            sites["end"] += sites["row"] * STRETCH
            sites["peak"] = peaks.index.to_numpy()[sites.pop("row")]
            _write_chromosome(fasta, index, chromosome, decode(stretches.reshape(-1)))
            all_peaks.append(peaks)
            all_strengths.append(strengths)
            all_sites.append(sites)
            advance(len(rows))
    peaks = pd.concat(all_peaks)
    peaks["chr"] = peaks["chr"].astype("category")
    return SimulatedPeaks(peaks, np.concatenate(all_strengths), pd.concat(all_sites, ignore_index=True))


def _plant(
    stretches: Codes, centres: NDArray[np.intp], motifs: dict[str, NDArray[np.float64]], rng: np.random.Generator
) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """Write motif instances into the stretches, in place. Return strengths (n, n_tfs) and a table of the sites."""
    n_tfs = len(motifs)
    chances = np.full(n_tfs + 1, SITES_PER_SLOT)
    chances[-1] = 1 - n_tfs * SITES_PER_SLOT
    chosen = rng.choice(n_tfs + 1, size=(len(stretches), SLOTS), p=chances)
    strengths = np.zeros((len(stretches), n_tfs), dtype=np.float32)
    tables = []
    for tf, (name, pwm) in enumerate(motifs.items()):
        has_site = chosen == tf
        has_site &= has_site.cumsum(axis=1) <= MOST_SITES
        row, slot = np.nonzero(has_site)
        width = len(pwm)
        start = centres[row] - SLOTS * SLOT // 2 + slot * SLOT + rng.integers(0, SLOT - width + 1, len(row))
        instances = (rng.random((len(row), width, 1)) > pwm.cumsum(axis=1)[:, :3]).sum(axis=2).astype(np.int8)
        score = np.clip(_score(instances, pwm), 0, None)
        np.add.at(strengths[:, tf], row, score)
        forward = rng.random(len(row)) < 0.5
        written = np.where(forward[:, None], instances, reverse_complement(instances))
        stretches[row[:, None], start[:, None] + np.arange(width)] = written
        strand = np.where(forward, "+", "-")
        tables.append(
            pd.DataFrame({"start": start, "end": start + width, "strand": strand, "tf": name, "score": score, "row": row})
        )
    sites = pd.concat(tables).sort_values(["row", "start"], ignore_index=True)
    return strengths, sites


def _score(instances: Codes, pwm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the log-odds of instances (n, width) against a uniform background, divided by the best possible."""
    log_odds = np.log2(pwm / 0.25)
    score = log_odds[np.arange(len(pwm)), instances].sum(axis=1)
    return (score / log_odds.max(axis=1).sum()).astype(np.float32)


def _write_chromosome(fasta: TextIO, index: TextIO, name: str, sequence: str, line: int = 60) -> None:
    """Append a chromosome to a FASTA and its .fai index."""
    fasta.write(f">{name}\n")
    index.write(f"{name}\t{len(sequence)}\t{fasta.tell()}\t{line}\t{line + 1}\n")
    fasta.writelines(sequence[at : at + line] + "\n" for at in range(0, len(sequence), line))
