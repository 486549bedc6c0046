"""SNVs of a simulated genome that destroy or create a motif of an active factor, and random SNVs in peaks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from scbasset_zoo.inputs.dna import ALPHABET
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.simulation.experiment import Simulation

DESTROYED, CREATED, RANDOM, RANDOM_IN_MOTIF = "destroyed", "created", "random", "random, in a motif"
# Scores of a sequence for a motif: 1 is the best sequence, 0 one that is as likely in the background.
STRONG, WEAK = 0.7, 0.45
AROUND = 200  # motifs are planted within this many bp of the centre of a peak

Pwm = NDArray[np.float64]


def motif_snvs(simulation: Simulation, n: int, seed: int = 0) -> pd.DataFrame:
    """Draw n SNVs that destroy a motif, n that create one, and 2 n random ones.

    A destroyed motif is planted and strong. Its most informative base becomes the least likely one. A created motif lies where no
    motif is planted: the SNV makes a weak match strong, by the base that gains most. Random SNVs lie at random bases of random
    peaks. Some of them hit planted motifs, and are named as such.

    Returns
    -------
    DataFrame
        chrom, pos (from 1), ref, alt, kind, and tf, the factor ("" of random SNVs).
    """
    genome, rng = Genome(simulation.genome), np.random.default_rng([seed, 4])
    planted = {
        (site.chrom, place) for site in simulation.motif_sites.itertuples() for place in range(int(site.start), int(site.end))
    }
    active = list(simulation.tfs.index[simulation.tfs["active"]])
    rows = [
        *_destroyed(simulation, genome, active, n, seed),
        *_created(simulation, genome, active, planted, n, rng),
        *_random(simulation, genome, planted, 2 * n, rng),
    ]
    table = pd.DataFrame(rows, columns=["kind", "tf", "chrom", "start", "old", "new"])
    letters = np.array(list(ALPHABET))
    return pd.DataFrame(
        {
            "chrom": table["chrom"],
            "pos": table["start"] + 1,
            "ref": letters[table["old"]],
            "alt": letters[table["new"]],
            "kind": table["kind"],
            "tf": table["tf"],
        }
    )


def _destroyed(simulation: Simulation, genome: Genome, active: list[str], n: int, seed: int) -> list[tuple[Any, ...]]:
    sites = simulation.motif_sites
    sites = sites[(sites["score"] > STRONG) & sites["tf"].isin(active)]
    rows: list[tuple[Any, ...]] = []
    for site in sites.sample(len(sites), random_state=seed).itertuples():
        pwm = _on_strand(simulation.motifs[site.tf], site.strand)
        at = int(pwm.max(axis=1).argmax())
        place, best = int(site.start) + at, int(pwm[at].argmax())
        if genome.codes(site.chrom, place, place + 1)[0] == best:
            rows.append((DESTROYED, site.tf, site.chrom, place, best, int(pwm[at].argmin())))
        if len(rows) == n:
            break
    return rows


def _created(
    simulation: Simulation, genome: Genome, active: list[str], planted: set[tuple[str, int]], n: int, rng: np.random.Generator
) -> list[tuple[Any, ...]]:
    """Return at most one SNV a peak."""
    rows: list[tuple[Any, ...]] = []
    for number in rng.permutation(len(simulation.peaks)):
        peak = simulation.peaks.iloc[number]
        chrom, first = str(peak["chr"]), (int(peak["start"]) + int(peak["end"])) // 2 - AROUND
        codes = genome.codes(chrom, first, first + 2 * AROUND)
        candidates = []
        for tf in active:
            for strand in "+-":
                pwm = _on_strand(simulation.motifs[tf], strand)
                log_odds = np.log2(pwm / 0.25)
                best = log_odds.max(axis=1)
                lost = best - log_odds[np.arange(len(pwm)), sliding_window_view(codes, len(pwm))]
                before = 1 - lost.sum(axis=1) / best.sum()
                after = before + lost.max(axis=1) / best.sum()
                for start in np.flatnonzero((before > WEAK) & (before <= STRONG) & (after > STRONG)):
                    if planted.isdisjoint((chrom, first + place) for place in range(start, start + len(pwm))):
                        at = int(lost[start].argmax())
                        candidates.append((CREATED, tf, chrom, first + start + at, int(codes[start + at]), int(pwm[at].argmax())))
        if candidates:
            rows.append(candidates[rng.integers(len(candidates))])
        if len(rows) == n:
            break
    return rows


def _random(
    simulation: Simulation, genome: Genome, planted: set[tuple[str, int]], n: int, rng: np.random.Generator
) -> list[tuple[Any, ...]]:
    rows = []
    for number in rng.integers(0, len(simulation.peaks), n):
        peak = simulation.peaks.iloc[number]
        chrom, place = str(peak["chr"]), int(rng.integers(peak["start"], peak["end"]))
        old = int(genome.codes(chrom, place, place + 1)[0])
        kind = RANDOM_IN_MOTIF if (chrom, place) in planted else RANDOM
        rows.append((kind, "", chrom, place, old, (old + int(rng.integers(1, 4))) % 4))
    return rows


def _on_strand(pwm: Pwm, strand: str) -> Pwm:
    return pwm[::-1, ::-1] if strand == "-" else pwm
