"""Metrics of an embedding: agreement with labels, clusters and RNA, and mixing of batches."""

from __future__ import annotations

from typing import Literal

import numpy as np

from scbasset_zoo import EmbeddingMetric
from scbasset_zoo.extend.embedding import EmbeddedCells, UndefinedScore

NEIGHBOURS = (10, 50, 100)
KBET_ALPHA = 0.05
KBET_SHARE, KBET_MIN, KBET_MAX = 0.25, 10, 70
LISI_PERPLEXITY = 30
SLOW_METRIC_CELLS = 2_000
"""Cells from which chance is computed for metrics that take seconds for 20,000 cells."""


class ClusterAgreement(EmbeddingMetric):
    """Adjusted Rand index (ARI), adjusted mutual information (AMI) and homogeneity of clusters against labels."""

    name = "clusters"
    needs = frozenset({"labels", "clusters"})

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, homogeneity_score

        assert cells.labels is not None
        assert cells.clusters is not None
        labels, clusters = cells.labels[cells.sample], cells.clusters[cells.sample]
        if problem := problem_of_labels(cells) or _problem_of_clusters(clusters):
            return dict.fromkeys(("ARI", "AMI", "homogeneity"), UndefinedScore(problem))
        return {
            "ARI": adjusted_rand_score(labels, clusters),
            "AMI": adjusted_mutual_info_score(labels, clusters),
            "homogeneity": homogeneity_score(labels, clusters),
        }


class LabelSilhouette(EmbeddingMetric):
    """Average silhouette width (ASW) of the labels by Euclidean distance, rescaled to (width + 1) / 2."""

    name = "label-asw"
    needs = frozenset({"labels"})
    most_cells_for_chance = SLOW_METRIC_CELLS

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        from sklearn.metrics import silhouette_score

        assert cells.labels is not None
        if problem := problem_of_labels(cells) or _problem_of_positions(cells):
            return {"cell-type ASW": UndefinedScore(problem)}
        width = silhouette_score(_scaled(cells), cells.labels[cells.sample])
        return {"cell-type ASW": (width + 1) / 2}


class LabelScore(EmbeddingMetric):
    """Mean over cells of the share of the k nearest neighbours that have the cell's label (Yuan & Kelley 2022, Methods)."""

    name = "label-score"
    needs = frozenset({"labels"})

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        assert cells.labels is not None
        names = {k: f"label score at {k}" for k in NEIGHBOURS}
        if problem := problem_of_labels(cells) or _problem_of_positions(cells):
            return {name: UndefinedScore(problem) for name in names.values()}
        has_same_label = cells.labels[cells.neighbours(_max_neighbours(cells))] == cells.labels[cells.sample][:, None]
        return {name: _problem_of_k(cells, k) or has_same_label[:, :k].mean() for k, name in names.items()}


class NeighbourScore(EmbeddingMetric):
    """Mean over cells of |neighbours in the embedding and in RNA| / k for k neighbours (Yuan & Kelley 2022, Methods)."""

    name = "neighbour-score"
    needs = frozenset({"rna"})

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        names = {k: f"neighbour score at {k}" for k in NEIGHBOURS}
        if problem := _problem_of_positions(cells) or _problem_of_positions(cells, "rna"):
            return {name: UndefinedScore(problem) for name in names.values()}
        n = _max_neighbours(cells)
        in_embedding, in_rna = cells.neighbours(n), cells.neighbours(n, "rna")
        return {name: _problem_of_k(cells, k) or _shared(in_embedding[:, :k], in_rna[:, :k]) for k, name in names.items()}


class Kbet(EmbeddingMetric):
    """Acceptance rate of kBET (Büttner et al. 2019): the share of neighbourhoods in which batches mix as among all cells.

    A neighbourhood is a cell and its k - 1 nearest cells. k is a quarter of the mean size of a batch, limited to 10 to 70 as in
    scIB. The batches of a neighbourhood are tested against those of all cells by Pearson's chi-squared test at 0.05. The rate is
    undefined if the test would accept most neighbourhoods of batches that lie apart, such as beside a batch of a few cells.
    """

    name = "kbet"
    needs = frozenset({"batches"})

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        assert cells.batches is not None
        size = np.bincount(cells.batches)
        k = kbet_neighbours(cells.n_cells, len(size))
        if problem := _problem_of_batches(size) or _problem_of_positions(cells) or _problem_of_kbet(size, k):
            return {"kBET acceptance": UndefinedScore(problem)}
        batches = cells.batches[np.column_stack([cells.sample, cells.neighbours(k - 1)])]
        observed = np.stack([(batches == batch).sum(axis=1) for batch in range(len(size))], axis=1)
        return {"kBET acceptance": _mixes(observed, size).mean()}


class Ilisi(EmbeddingMetric):
    """Local inverse Simpson index of the batches (iLISI, Korsunsky et al. 2019), median over cells.

    It lies between 1, where each neighbourhood has cells of one batch, and the number of batches B; rescaled, it is
    (iLISI - 1) / (B - 1). The perplexity is 30, or a third of the cells if that is less. Neighbourhoods are those among the
    sampled cells. It is undefined if most neighbourhoods would have cells of one batch even if the batches mixed.
    """

    name = "ilisi"
    needs = frozenset({"batches"})
    most_cells_for_chance = SLOW_METRIC_CELLS

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        import pandas as pd
        from harmonypy import compute_lisi

        assert cells.batches is not None
        batches = cells.batches[cells.sample]
        perplexity = min(LISI_PERPLEXITY, (len(batches) - 1) // 3)
        size = np.bincount(batches)
        if problem := _problem_of_batches(size) or _problem_of_positions(cells) or _problem_of_ilisi(size, perplexity):
            return dict.fromkeys(("iLISI", "iLISI, rescaled"), UndefinedScore(problem))
        table = pd.DataFrame({"batch": batches.astype(str)})
        median = np.median(compute_lisi(_scaled(cells), table, ["batch"], perplexity))
        return {"iLISI": median, "iLISI, rescaled": (median - 1) / (cells.batches.max())}


def kbet_neighbours(n_cells: int, n_batches: int) -> int:
    """Return the number of cells in a neighbourhood of kBET, including the cell itself."""
    return min(n_cells, max(KBET_MIN, min(KBET_MAX, int(KBET_SHARE * n_cells / n_batches))))


def problem_of_labels(cells: EmbeddedCells) -> str | None:
    """Return why labels of the sampled cells say nothing, or None: all are equal, or all differ."""
    assert cells.labels is not None
    labels = cells.labels[cells.sample]
    n_labels = len(np.unique(labels))
    if n_labels < 2:
        return "all cells have the same label"
    return "each cell has a label of its own" if n_labels == len(labels) else None


def _problem_of_clusters(clusters: np.ndarray) -> str | None:
    """Return why clusters would agree with any labels to the same degree, or None."""
    n_clusters = len(np.unique(clusters))
    if n_clusters < 2:
        return "all cells are in one cluster"
    return "each cell is a cluster of its own" if n_clusters == len(clusters) else None


def _scaled(cells: EmbeddedCells) -> np.ndarray:
    """Return the positions of the sampled cells with 1 as the largest number: squares of very large or small ones are not held."""
    points = cells.embedding[cells.sample].astype(np.float64)
    return points / np.abs(points).max()


def _problem_of_positions(cells: EmbeddedCells, space: Literal["embedding", "rna"] = "embedding") -> str | None:
    """Return that all cells lie at one point, or None."""
    positions = getattr(cells, space)
    if (positions == positions[0]).all():
        return f"all cells have the same position in the {'RNA' if space == 'rna' else 'embedding'}"
    return None


def _problem_of_k(cells: EmbeddedCells, k: int) -> UndefinedScore | None:
    """Return an undefined score if all other cells are among the k nearest neighbours, wherever they lie; None otherwise."""
    if k < cells.n_cells - 1:
        return None
    return UndefinedScore(f"there are {cells.n_cells:,} cells; {k + 2:,} or more are needed")


def _problem_of_batches(size: np.ndarray) -> str | None:
    return "all cells have the same batch" if np.count_nonzero(size) < 2 else None


def _problem_of_kbet(size: np.ndarray, k: int) -> str | None:
    """Return that kBET accepts most neighbourhoods even if the batches lie apart, or None."""
    own = np.minimum(size, k)
    # The rest of a neighbourhood that is larger than its batch is drawn from the other batches, in proportion to their sizes.
    others = np.where(np.eye(len(size), dtype=bool), 0, size)
    apart = np.diag(own) + (k - own)[:, None] * others / others.sum(axis=1, keepdims=True)
    accepted = (size * _mixes(apart, size)).sum() / size.sum()
    if accepted <= 0.5:
        return None
    return (
        f"kBET would accept {accepted:.0%} of the neighbourhoods of {k} cells even if the batches lay apart; the smallest batch "
        f"has {size.min():,} of {size.sum():,} cells"
    )


def _problem_of_ilisi(size: np.ndarray, perplexity: int) -> str | None:
    """Return that a typical neighbourhood of mixed batches has cells of the largest batch only, or None."""
    n_cells = size.sum()
    if perplexity * (n_cells - size.max()) >= n_cells:
        return None
    return f"{size.max():,} of {n_cells:,} cells are of one batch: {perplexity} neighbours have less than one cell of another batch"


def _mixes(observed: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return whether the batches of each neighbourhood, (n, n_batches), may be drawn from all cells."""
    from scipy.stats import chi2

    expected = observed.sum(axis=1, keepdims=True) * size / size.sum()
    statistic = ((observed - expected) ** 2 / expected).sum(axis=1)
    accepted: np.ndarray = chi2.sf(statistic, len(size) - 1) >= KBET_ALPHA
    return accepted


def _max_neighbours(cells: EmbeddedCells) -> int:
    return min(max(NEIGHBOURS), cells.n_cells - 1)


def _shared(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean over rows of the share of values that are in both rows. No value may occur twice in a row."""
    both = np.sort(np.concatenate([first, second], axis=1), axis=1)
    return float((both[:, 1:] == both[:, :-1]).sum(axis=1).mean() / first.shape[1])
