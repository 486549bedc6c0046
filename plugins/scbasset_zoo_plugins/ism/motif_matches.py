"""Matches of motifs in regions, scored by in silico mutagenesis and tested against shuffled regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from scbasset_zoo.extend import sequences as dna
from scbasset_zoo_plugins.motifs.motif import Motif

Array = NDArray[np.float32]
Measure = Literal["pearson", "dot"]

_COLUMNS_PER_BATCH = 16
# Columns of the listed matches that are texts, and what comes before all names of columns among the arrays of matches.
_TEXTS = ("region", "motif", "tf", "strand")
_LISTED = "match_table_"


@dataclass(frozen=True)
class MatchSearch:
    """How motifs are matched, and how the matches are scored and tested.

    Attributes
    ----------
    motifs : list of Motif
    measure : "pearson" or "dot"
        Score of a match: correlation, or dot product, of PWM and ISM over its positions and bases.
    fimo_p : float
        Matches have a p-value by FIMO below this.
    n_shuffles : int
        Number of shuffles of a region's positions. The PWM is scored at every place of each shuffle.
    list_p : float
        Matches whose smallest p over the groups is up to this are listed.
    seed : int
        Seed of the shuffles.
    """

    motifs: list[Motif]
    measure: Measure
    fimo_p: float
    n_shuffles: int
    list_p: float
    seed: int


class MotifMatches:
    """Matches of motifs in regions that are added one after the other.

    Parameters
    ----------
    search : MatchSearch
    columns : list of str
        The groups or cells of the scores.
    """

    def __init__(self, search: MatchSearch, columns: list[str]) -> None:
        self._search, self._columns = search, columns
        self._listed: list[pd.DataFrame] = []
        self._scores: list[Array] = []
        self._p: list[Array] = []
        self._best: dict[int, list[Array]] = {}
        self._n_tests = 0

    def add(self, names: list[str], numbers: range, codes: dna.Codes, scores: list[Array]) -> None:
        """Search, score and test the matches of some regions.

        Parameters
        ----------
        names : list of n str
        numbers : range
            Numbers of the regions among all regions; they seed the shuffles.
        codes : int8 codes (n, length)
            Reference sequences.
        scores : list of n float32 arrays (length, 4, columns)
            Normalised ISM scores.
        """
        matches = find_matches(self._search.motifs, codes, self._search.fimo_p)
        for region, (name, number) in enumerate(zip(names, numbers, strict=True)):
            in_region = matches[matches["region"] == region].reset_index(drop=True)
            if len(in_region):
                self._add_region(name, number, in_region, scores[region])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the matches as arrays of numbers and texts, for :meth:`extend`."""
        n_columns = len(self._columns)
        listed = pd.concat(self._listed, ignore_index=True) if self._listed else _no_matches()
        best = [(motif, scores) for motif, of_regions in self._best.items() for scores in of_regions]
        return {
            **{f"{_LISTED}{name}": listed[name].to_numpy(str if name in _TEXTS else None) for name in listed},
            "match_scores": np.concatenate([np.empty((0, n_columns), np.float32), *self._scores]),
            "match_p": np.concatenate([np.empty((0, n_columns), np.float32), *self._p]),
            "strongest_motif": np.array([motif for motif, _ in best], np.int64),
            "strongest_scores": np.stack([scores for _, scores in best]) if best else np.empty((0, n_columns), np.float32),
            "n_tests": np.array(self._n_tests),
        }

    def extend(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Add the matches of the next regions, as :meth:`arrays` returned them."""
        listed = {name.removeprefix(_LISTED): values for name, values in arrays.items() if name.startswith(_LISTED)}
        if len(arrays["match_p"]):
            texts = {name: listed[name].astype(object) for name in _TEXTS}
            self._listed.append(pd.DataFrame(listed | texts))
            self._scores.append(arrays["match_scores"])
            self._p.append(arrays["match_p"])
        for motif, scores in zip(arrays["strongest_motif"].tolist(), arrays["strongest_scores"], strict=True):
            self._best.setdefault(motif, []).append(scores)
        self._n_tests += int(arrays["n_tests"])

    def matches(self) -> tuple[pd.DataFrame, Array, Array, Array]:
        """Return the listed matches.

        Returns
        -------
        DataFrame
            region, motif, tf, start, end, strand and fimo_p, by region and start.
        float32 arrays (number of matches, columns)
            Scores, p and q. q is Benjamini and Hochberg's over all matches that were tested, listed or not. A q above
            `list_p` is an upper bound, since the larger p that are not listed could lower it. A match has NaN in a column whose
            ISM is zero there, because the correlation with zeros is undefined.
        """
        if not self._listed:
            empty = np.empty((0, len(self._columns)), np.float32)
            return _no_matches(), empty, empty, empty
        p = np.concatenate(self._p)
        return pd.concat(self._listed, ignore_index=True), np.concatenate(self._scores), p, _false_discovery(p, self._n_tests)

    def by_group(self) -> pd.DataFrame:
        """Compare each motif's scores in a group with those in the other groups, at the motif's strongest match of each region.

        Returns
        -------
        DataFrame
            motif, tf, group, n (number of regions), median, median_of_others, statistic and p of the two-sided rank-sum test
            (Mann-Whitney U), and q (Benjamini and Hochberg). Scores that are NaN are left out. The test is NaN if no score is
            left on either side, or if all scores are equal.
        """
        rows = []
        for motif, scores in sorted(self._best.items()):
            values = np.stack(scores).astype(np.float64)
            for group, name in enumerate(self._columns):
                inside, others = values[:, group], np.delete(values, group, axis=1).ravel()
                if not len(others):
                    continue
                inside, others = inside[~np.isnan(inside)], others[~np.isnan(others)]
                name_and_factor = self._search.motifs[motif].name, self._search.motifs[motif].tf
                rows.append((*name_and_factor, name, len(inside), *_rank_sum(inside, others)))
        columns = ["motif", "tf", "group", "n", "median", "median_of_others", "statistic", "p"]
        table = pd.DataFrame(rows, columns=columns).astype({"n": np.int64} | dict.fromkeys(columns[4:], np.float64))
        table["q"] = _false_discovery(table["p"].to_numpy(), len(table))
        return table.sort_values(["p", "motif"], kind="stable", ignore_index=True)

    def _add_region(self, name: str, number: int, matches: pd.DataFrame, scores: Array) -> None:
        """Score and test the matches of a region, and keep those that are to be listed."""
        search = self._search
        match_scores, p = self._score(number, matches, scores)
        self._n_tests += int((~np.isnan(p)).sum())
        strongest = matches.sort_values("fimo_p", kind="stable").drop_duplicates("motif")
        for motif, row in zip(strongest["motif"], strongest.index, strict=True):
            self._best.setdefault(motif, []).append(match_scores[row])
        listed = np.flatnonzero((p <= search.list_p).any(axis=1))
        table = matches.iloc[listed]
        motifs = [search.motifs[motif] for motif in table["motif"]]
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
        self._scores.append(match_scores[listed])
        self._p.append(p[listed])

    def _score(self, number: int, matches: pd.DataFrame, scores: Array) -> tuple[Array, Array]:
        """Return the scores and p-values (number of matches, columns) of a region's matches.

        p is the share of places in the shuffled region where the PWM scores as high, with 1 added to both counts.
        """
        search = self._search
        rng = np.random.default_rng([search.seed, number])
        # The shuffles are joined: a window over two of them is as random as any other.
        shuffled = np.concatenate([rng.permutation(scores) for _ in range(search.n_shuffles)])
        match_scores = np.empty((len(matches), scores.shape[2]), np.float32)
        p = np.empty_like(match_scores)
        width = matches["end"] - matches["start"]
        for _, same_width in matches.groupby(width):
            kinds, which = np.unique(same_width[["motif", "is_reverse"]].to_numpy(np.int64), axis=0, return_inverse=True)
            pwms = np.stack([_oriented(search.motifs[motif].pwm, bool(is_reverse)) for motif, is_reverse in kinds])
            rows, starts, which = same_width.index.to_numpy(), same_width["start"].to_numpy(), which.ravel()
            for first in range(0, scores.shape[2], _COLUMNS_PER_BATCH):
                columns = slice(first, first + _COLUMNS_PER_BATCH)
                in_region = window_scores(pwms, scores[..., columns], search.measure)
                by_chance = window_scores(pwms, shuffled[..., columns], search.measure)
                for row, start, kind in zip(rows, starts, which, strict=True):
                    match_scores[row, columns] = in_region[kind, start]
                    n_as_high = (by_chance[kind] >= in_region[kind, start]).sum(axis=0)
                    p_of_columns = (n_as_high + 1) / (by_chance.shape[1] + 1)
                    p[row, columns] = np.where(np.isnan(in_region[kind, start]), np.nan, p_of_columns)
        return match_scores, p


def _no_matches() -> pd.DataFrame:
    table = pd.DataFrame(columns=["region", "motif", "tf", "start", "end", "strand", "fimo_p"])
    return table.astype({"start": np.int64, "end": np.int64, "fimo_p": np.float64})


def find_matches(motifs: list[Motif], codes: dna.Codes, threshold: float) -> pd.DataFrame:
    """Search matches of motifs on both strands with FIMO (Grant et al., Bioinformatics 2011; memelite).

    Parameters
    ----------
    motifs : list of Motif
    codes : int8 codes (n_regions, length)
    threshold : float
        Matches have a p-value below this.

    Returns
    -------
    DataFrame
        region and motif (numbers), start, end (0-based, half-open), is_reverse and fimo_p, by region and start. No match
        overlaps an N. A p is at least the chance of the motif's best sequence.
    """
    from memelite import fimo

    one_hot = (codes[..., None] == np.arange(4)).astype(np.int8)
    tables = fimo({str(i): motif.pwm.T for i, motif in enumerate(motifs)}, one_hot.transpose(0, 2, 1).copy(), threshold=threshold)
    hits = pd.concat([table.assign(motif=number) for number, table in enumerate(tables) if len(table)] or [pd.DataFrame()])
    if hits.empty:
        return pd.DataFrame(columns=["region", "motif", "start", "end", "is_reverse", "fimo_p"])
    table = pd.DataFrame(
        {
            "region": hits["sequence_name"].to_numpy(np.int64),
            "motif": hits["motif"].to_numpy(np.int64),
            "start": hits["start"].to_numpy(np.int64),
            "end": hits["end"].to_numpy(np.int64),
            "is_reverse": (hits["strand"] == "-").to_numpy(),
            "fimo_p": hits["p-value"].to_numpy(np.float64),
        }
    )
    # memelite rounds scores to bins, and the best sequence may lie beyond the last bin, with a p of 0.
    least = np.array([_chance_of_best(motif.pwm) for motif in motifs])
    table["fimo_p"] = np.maximum(table["fimo_p"], least[table["motif"]])
    # FIMO scores an N as 0, which is more than most sequences score for a long motif.
    n_before = np.pad((codes == dna.N).cumsum(axis=1), ((0, 0), (1, 0)))
    table = table[n_before[table["region"], table["start"]] == n_before[table["region"], table["end"]]]
    return table.sort_values(["region", "start", "motif"], kind="stable", ignore_index=True)


def _chance_of_best(pwm: NDArray[np.float64]) -> float:
    """Return the chance that random bases are a sequence with the highest score of a PWM."""
    n_best = np.isclose(pwm, pwm.max(axis=1, keepdims=True)).sum(axis=1)
    return float(np.prod(n_best / 4))


def window_scores(pwms: NDArray[np.float64], scores: Array, measure: Measure) -> Array:
    """Score PWMs against normalised ISM scores at every place.

    Parameters
    ----------
    pwms : float64 (n, width, 4)
    scores : float32 (length, 4, columns)
        The four scores of a position sum to zero, so the mean of a PWM does not matter.
    measure : "pearson" or "dot"

    Returns
    -------
    float32 array (n, length - width + 1, columns)
        The correlation is NaN where all scores of a window are zero, or all values of a PWM are equal.
    """
    n, width, _ = pwms.shape
    windows = np.lib.stride_tricks.sliding_window_view(scores, width, axis=0).transpose(3, 1, 0, 2)
    places, columns = windows.shape[2:]
    values = np.ascontiguousarray(windows, dtype=np.float32).reshape(width * 4, places * columns)
    weights = (pwms - pwms.mean(axis=(1, 2), keepdims=True)).reshape(n, width * 4).astype(np.float32)
    products = weights @ values
    if measure == "pearson":
        lengths = np.linalg.norm(weights, axis=1)[:, None] * np.linalg.norm(values, axis=0)
        products = np.divide(products, lengths, out=np.full_like(products, np.nan), where=lengths > 0)
    return products.reshape(n, places, columns)


def _oriented(pwm: NDArray[np.float64], is_reverse: bool) -> NDArray[np.float64]:
    """Return a PWM or its reverse complement."""
    return pwm[::-1, ::-1] if is_reverse else pwm


def _rank_sum(inside: NDArray[np.float64], others: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return the medians of both, and statistic and p of the two-sided rank-sum test; NaN where they are undefined."""
    medians = [float(np.median(values)) if len(values) else np.nan for values in (inside, others)]
    if not len(inside) or not len(others) or np.ptp(np.concatenate([inside, others])) == 0:
        return medians[0], medians[1], np.nan, np.nan
    test = stats.mannwhitneyu(inside, others)
    return medians[0], medians[1], float(test.statistic), float(test.pvalue)


def _false_discovery(p: NDArray[np.floating], n_tests: int) -> Array:
    """Adjust p-values by Benjamini and Hochberg; `p` are the smallest among n_tests p-values, apart from NaN."""
    flat = np.asarray(p, dtype=np.float64).ravel()
    order = np.argsort(flat, kind="stable")
    scaled = flat[order] * n_tests / np.arange(1, len(flat) + 1)
    adjusted = np.empty_like(flat)
    # NaN is sorted to the end, and fmin passes over it.
    adjusted[order] = np.minimum(np.fmin.accumulate(scaled[::-1])[::-1], 1)
    return adjusted.reshape(np.shape(p)).astype(np.float32)
