"""Scores of an embedding: agreement with labels, with clusters and with RNA, and how well batches mix."""

from __future__ import annotations

import numpy as np

import scbasset_zoo as sz
from scbasset_zoo.extend.embedding import EmbeddedCells

NEIGHBOURS = (10, 50, 100)
KBET_ALPHA = 0.05
KBET_SHARE, KBET_LEAST, KBET_MOST = 0.25, 10, 70
LISI_PERPLEXITY = 30


class ClusterAgreement(sz.EmbeddingMetric):
    """Adjusted Rand index, adjusted mutual information and homogeneity of clusters against labels."""

    name = "clusters"
    needs = frozenset({"labels", "clusters"})

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, homogeneity_score

        assert cells.labels is not None
        assert cells.clusters is not None
        labels, clusters = cells.labels[cells.sample], cells.clusters[cells.sample]
        return {
            "ARI": adjusted_rand_score(labels, clusters),
            "AMI": adjusted_mutual_info_score(labels, clusters),
            "homogeneity": homogeneity_score(labels, clusters),
        }


class LabelSilhouette(sz.EmbeddingMetric):
    """Average silhouette width of the labels by Euclidean distance, rescaled to (width + 1) / 2."""

    name = "label-asw"
    needs = frozenset({"labels"})

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        from sklearn.metrics import silhouette_score

        assert cells.labels is not None
        width = silhouette_score(cells.embedding[cells.sample], cells.labels[cells.sample])
        return {"cell-type ASW": (width + 1) / 2}


class LabelScore(sz.EmbeddingMetric):
    """Mean over cells of the share of the k nearest neighbours that have the cell's label (Yuan & Kelley 2022, Methods)."""

    name = "label-score"
    needs = frozenset({"labels"})

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        assert cells.labels is not None
        same = cells.labels[cells.neighbours(_most(cells))] == cells.labels[cells.sample][:, None]
        return {f"label score at {k}": same[:, :k].mean() for k in _possible(cells)}


class NeighbourScore(sz.EmbeddingMetric):
    """Mean over cells of |neighbours in the embedding and in RNA| / k for k neighbours (Yuan & Kelley 2022, Methods)."""

    name = "neighbour-score"
    needs = frozenset({"rna"})

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        most = _most(cells)
        here, there = cells.neighbours(most), cells.neighbours(most, "rna")
        return {f"neighbour score at {k}": _shared(here[:, :k], there[:, :k]) for k in _possible(cells)}


class Kbet(sz.EmbeddingMetric):
    """kBET's acceptance rate (Büttner et al. 2019): the share of neighbourhoods whose batches are those of all cells.

    A neighbourhood is a cell and its k - 1 nearest, k being a quarter of the mean size of a batch, from 10 to 70 as in scIB,
    of all cells at once. Its batches are tested against those of all cells by Pearson's chi-squared test at 0.05.
    """

    name = "kbet"
    needs = frozenset({"batches"})

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        from scipy.stats import chi2

        assert cells.batches is not None
        size = np.bincount(cells.batches)
        k = kbet_neighbours(cells.n_cells, len(size))
        around = np.column_stack([cells.sample, cells.neighbours(k - 1)])
        seen = np.stack([(cells.batches[around] == batch).sum(axis=1) for batch in range(len(size))], axis=1)
        expected = k * size / size.sum()
        statistic = ((seen - expected) ** 2 / expected).sum(axis=1)
        return {"kBET acceptance": (chi2.sf(statistic, len(size) - 1) >= KBET_ALPHA).mean()}


class Ilisi(sz.EmbeddingMetric):
    """Local inverse Simpson index of the batches (Korsunsky et al. 2019), median over cells; rescaled to (iLISI - 1) / (B - 1).

    It lies between 1, each neighbourhood of one batch, and the number of batches B. Perplexity 30, or a third of the cells.
    Of more cells than are sampled, the neighbourhoods are those in the sample.
    """

    name = "ilisi"
    needs = frozenset({"batches"})

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        import pandas as pd
        from harmonypy import compute_lisi

        assert cells.batches is not None
        batches = pd.DataFrame({"batch": cells.batches[cells.sample].astype(str)})
        perplexity = min(LISI_PERPLEXITY, (len(batches) - 1) // 3)
        median = np.median(compute_lisi(cells.embedding[cells.sample], batches, ["batch"], perplexity))
        return {"iLISI": median, "iLISI, rescaled": (median - 1) / (cells.batches.max())}


def kbet_neighbours(n_cells: int, n_batches: int) -> int:
    """The size of kBET's neighbourhoods, the cell itself included."""
    return min(n_cells, max(KBET_LEAST, min(KBET_MOST, int(KBET_SHARE * n_cells / n_batches))))


def _possible(cells: EmbeddedCells) -> list[int]:
    return [k for k in NEIGHBOURS if k < cells.n_cells]


def _most(cells: EmbeddedCells) -> int:
    return min(max(NEIGHBOURS), cells.n_cells - 1)


def _shared(first: np.ndarray, second: np.ndarray) -> float:
    """Mean share of each row's values that both rows have; no value occurs twice in a row."""
    both = np.sort(np.concatenate([first, second], axis=1), axis=1)
    return float((both[:, 1:] == both[:, :-1]).sum(axis=1).mean() / first.shape[1])
