"""Which motifs explain in silico mutagenesis: FIMO's matches, scored against the mutations and tested against shuffles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from scbasset_zoo.extend import sequences as dna
from scbasset_zoo_plugins.motifs.motif import Motif

Array = NDArray[np.float32]
Measure = Literal["pearson", "dot"]

_COLUMNS_AT_ONCE = 16


@dataclass(frozen=True)
class Labelling:
    """How matches are found and judged.

    Attributes
    ----------
    motifs : list of Motif
    measure : "pearson" or "dot"
        Correlation, or dot product, of PWM and ISM over the positions and bases of a match.
    fimo_p : float
        Matches have a smaller p-value.
    n_shuffles : int
        Shuffles of the region's positions; each is scored at every place.
    most_p : float
        Matches are listed whose smallest p over the groups is not larger.
    seed : int
    """

    motifs: list[Motif]
    measure: Measure
    fimo_p: float
    n_shuffles: int
    most_p: float
    seed: int


class MotifLabels:
    """Matches of motifs in regions, taken in region by region.

    Parameters
    ----------
    labelling : Labelling
    columns : list of str
        The groups or cells of the scores.
    """

    def __init__(self, labelling: Labelling, columns: list[str]) -> None:
        self._how, self._columns = labelling, columns
        self._listed: list[pd.DataFrame] = []
        self._scores: list[Array] = []
        self._p: list[Array] = []
        self._best: dict[int, list[Array]] = {}
        self._n_tests = 0

    def add(self, names: list[str], numbers: range, codes: dna.Codes, scores: list[Array]) -> None:
        """Take in regions.

        Parameters
        ----------
        names : list of str, n
        numbers : range
            Their numbers among all regions, which seed their shuffles.
        codes : int8 codes (n, length)
        scores : list of float32 (length, 4, columns)
            Normalised scores of each region.
        """
        found = find_matches(self._how.motifs, codes, self._how.fimo_p)
        for region, (name, number) in enumerate(zip(names, numbers, strict=True)):
            matches = found[found["region"] == region].reset_index(drop=True)
            if len(matches):
                self._add_region(name, number, matches, scores[region])

    def matches(self) -> tuple[pd.DataFrame, Array, Array, Array]:
        """Listed matches, by region and place, with scores, p and q (matches, columns).

        q is Benjamini and Hochberg's over all matches that were tested, listed or not; one above `most_p` is an upper bound,
        since larger p could lower it.
        """
        if not self._listed:
            empty = np.empty((0, len(self._columns)), np.float32)
            table = pd.DataFrame(columns=["region", "motif", "tf", "start", "end", "strand", "fimo_p"])
            return table.astype({"start": np.int64, "end": np.int64, "fimo_p": np.float64}), empty, empty, empty
        p = np.concatenate(self._p)
        return pd.concat(self._listed, ignore_index=True), np.concatenate(self._scores), p, _false_discovery(p, self._n_tests)

    def by_group(self) -> pd.DataFrame:
        """Each motif's scores in a group against those in the others, at its strongest match of each region.

        Returns
        -------
        DataFrame
            motif, tf, group, n (regions), median, median_of_others, statistic and p of the two-sided rank-sum test
            (Mann-Whitney U), q (Benjamini and Hochberg).
        """
        rows = []
        for motif, scores in sorted(self._best.items()):
            values = np.stack(scores).astype(np.float64)
            for group, name in enumerate(self._columns):
                inside, others = values[:, group], np.delete(values, group, axis=1).ravel()
                if not len(others):
                    continue
                test = stats.mannwhitneyu(inside, others)
                of_motif = self._how.motifs[motif]
                medians = float(np.median(inside)), float(np.median(others))
                rows.append((of_motif.name, of_motif.tf, name, len(values), *medians, float(test.statistic), float(test.pvalue)))
        columns = ["motif", "tf", "group", "n", "median", "median_of_others", "statistic", "p"]
        table = pd.DataFrame(rows, columns=columns).astype({"n": np.int64} | dict.fromkeys(columns[4:], np.float64))
        table["q"] = _false_discovery(table["p"].to_numpy(), len(table))
        return table.sort_values(["p", "motif"], kind="stable", ignore_index=True)

    def _add_region(self, name: str, number: int, matches: pd.DataFrame, scores: Array) -> None:
        how = self._how
        rng = np.random.default_rng([how.seed, number])
        shuffled = np.concatenate([rng.permutation(scores) for _ in range(how.n_shuffles)])
        found = np.empty((len(matches), scores.shape[2]), np.float32)
        p = np.empty_like(found)
        width = matches["end"] - matches["start"]
        for _, same_width in matches.groupby(width):
            kinds, which = np.unique(same_width[["motif", "is_reverse"]].to_numpy(np.int64), axis=0, return_inverse=True)
            pwms = np.stack([_oriented(how.motifs[motif].pwm, bool(is_reverse)) for motif, is_reverse in kinds])
            rows, starts, which = same_width.index.to_numpy(), same_width["start"].to_numpy(), which.ravel()
            # Windows across the seam of two shuffles are as random as any other.
            for first in range(0, scores.shape[2], _COLUMNS_AT_ONCE):
                part = slice(first, first + _COLUMNS_AT_ONCE)
                here = window_scores(pwms, scores[..., part], how.measure)
                by_chance = window_scores(pwms, shuffled[..., part], how.measure)
                for row, start, kind in zip(rows, starts, which, strict=True):
                    found[row, part] = here[kind, start]
                    reached = (by_chance[kind] >= here[kind, start]).sum(axis=0)
                    p[row, part] = (reached + 1) / (by_chance.shape[1] + 1)
        self._n_tests += p.size
        strongest = matches.sort_values("fimo_p", kind="stable").drop_duplicates("motif")
        for motif, row in zip(strongest["motif"], strongest.index, strict=True):
            self._best.setdefault(motif, []).append(found[row])
        listed = np.flatnonzero(p.min(axis=1) <= how.most_p)
        table = matches.iloc[listed]
        motifs = [how.motifs[motif] for motif in table["motif"]]
        self._listed.append(
            pd.DataFrame(
                {
                    "region": name,
                    "motif": [motif.name for motif in motifs],
                    "tf": [motif.tf for motif in motifs],
                    "start": table["start"].to_numpy(),
                    "end": table["end"].to_numpy(),
                    "strand": np.where(table["is_reverse"], "-", "+"),
                    "fimo_p": table["fimo_p"].to_numpy(),
                }
            )
        )
        self._scores.append(found[listed])
        self._p.append(p[listed])


def find_matches(motifs: list[Motif], codes: dna.Codes, threshold: float) -> pd.DataFrame:
    """Matches of motifs on both strands, by FIMO (Grant et al., Bioinformatics 2011; memelite); none overlaps an N.

    Returns
    -------
    DataFrame
        region and motif (numbers), start, end (0-based, half-open), is_reverse, fimo_p; by region and start.
    """
    from memelite import fimo

    one_hot = (codes[..., None] == np.arange(4)).astype(np.int8)
    tables = fimo({str(i): motif.pwm.T for i, motif in enumerate(motifs)}, one_hot.transpose(0, 2, 1).copy(), threshold=threshold)
    found = pd.concat([table.assign(motif=number) for number, table in enumerate(tables) if len(table)] or [pd.DataFrame()])
    if found.empty:
        return pd.DataFrame(columns=["region", "motif", "start", "end", "is_reverse", "fimo_p"])
    table = pd.DataFrame(
        {
            "region": found["sequence_name"].to_numpy(np.int64),
            "motif": found["motif"].to_numpy(np.int64),
            "start": found["start"].to_numpy(np.int64),
            "end": found["end"].to_numpy(np.int64),
            "is_reverse": (found["strand"] == "-").to_numpy(),
            "fimo_p": found["p-value"].to_numpy(np.float64),
        }
    )
    # An N scores 0, which most words of a long motif do not reach.
    unknown = np.pad((codes == dna.N).cumsum(axis=1), ((0, 0), (1, 0)))
    table = table[unknown[table["region"], table["start"]] == unknown[table["region"], table["end"]]]
    return table.sort_values(["region", "start", "motif"], kind="stable", ignore_index=True)


def window_scores(pwms: NDArray[np.float64], scores: Array, measure: Measure) -> Array:
    """PWMs against normalised ISM scores at every place.

    Parameters
    ----------
    pwms : float64 (n, width, 4)
    scores : float32 (length, 4, columns)
        The four scores of a position sum to zero, so that a PWM's mean does not matter.
    measure : "pearson" or "dot"

    Returns
    -------
    float32 array of shape (n, length - width + 1, columns)
    """
    n, width, _ = pwms.shape
    windows = np.lib.stride_tricks.sliding_window_view(scores, width, axis=0).transpose(3, 1, 0, 2)
    places, columns = windows.shape[2:]
    values = np.ascontiguousarray(windows, dtype=np.float32).reshape(width * 4, places * columns)
    weights = (pwms - pwms.mean(axis=(1, 2), keepdims=True)).reshape(n, width * 4).astype(np.float32)
    products = weights @ values
    if measure == "pearson":
        lengths = np.linalg.norm(weights, axis=1)[:, None] * np.linalg.norm(values, axis=0)
        products = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    found: Array = products.reshape(n, places, columns)
    return found


def _oriented(pwm: NDArray[np.float64], is_reverse: bool) -> NDArray[np.float64]:
    return pwm[::-1, ::-1] if is_reverse else pwm


def _false_discovery(p: NDArray[np.floating], n_tests: int) -> Array:
    """Benjamini and Hochberg's adjusted p of the smallest p-values among n_tests; the others are larger."""
    flat = np.asarray(p, dtype=np.float64).ravel()
    order = np.argsort(flat, kind="stable")
    scaled = flat[order] * n_tests / np.arange(1, len(flat) + 1)
    adjusted = np.empty_like(flat)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return adjusted.reshape(np.shape(p)).astype(np.float32)
