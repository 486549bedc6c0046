"""Metrics of an embedding: agreement with labels, clusters and RNA, and mixing of batches."""

from __future__ import annotations

import numpy as np

from scbasset_zoo import EmbeddingMetric
from scbasset_zoo.extend.embedding import EmbeddedCells

NEIGHBOURS = (10, 50, 100)
KBET_ALPHA = 0.05
KBET_SHARE, KBET_MIN, KBET_MAX = 0.25, 10, 70
LISI_PERPLEXITY = 30


class ClusterAgreement(EmbeddingMetric):
    """Adjusted Rand index (ARI), adjusted mutual information (AMI) and homogeneity of clusters against labels."""

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


class LabelSilhouette(EmbeddingMetric):
    """Average silhouette width (ASW) of the labels by Euclidean distance, rescaled to (width + 1) / 2."""

    name = "label-asw"
    needs = frozenset({"labels"})

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        from sklearn.metrics import silhouette_score

        assert cells.labels is not None
        width = silhouette_score(cells.embedding[cells.sample], cells.labels[cells.sample])
        return {"cell-type ASW": (width + 1) / 2}


class LabelScore(EmbeddingMetric):
    """Mean over cells of the share of the k nearest neighbours that have the cell's label (Yuan & Kelley 2022, Methods)."""

    name = "label-score"
    needs = frozenset({"labels"})

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        assert cells.labels is not None
        has_same_label = cells.labels[cells.neighbours(_max_neighbours(cells))] == cells.labels[cells.sample][:, None]
        return {f"label score at {k}": has_same_label[:, :k].mean() for k in _possible_neighbours(cells)}


class NeighbourScore(EmbeddingMetric):
    """Mean over cells of |neighbours in the embedding and in RNA| / k for k neighbours (Yuan & Kelley 2022, Methods)."""

    name = "neighbour-score"
    needs = frozenset({"rna"})

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        n = _max_neighbours(cells)
        in_embedding, in_rna = cells.neighbours(n), cells.neighbours(n, "rna")
        return {f"neighbour score at {k}": _shared(in_embedding[:, :k], in_rna[:, :k]) for k in _possible_neighbours(cells)}


class Kbet(EmbeddingMetric):
    """Acceptance rate of kBET (Büttner et al. 2019): the share of neighbourhoods in which batches mix as among all cells.

    A neighbourhood is a cell and its k - 1 nearest cells. k is a quarter of the mean size of a batch, limited to 10 to 70 as in
    scIB. The batches of a neighbourhood are tested against those of all cells by Pearson's chi-squared test at 0.05.
    """

    name = "kbet"
    needs = frozenset({"batches"})

    def score(self, cells: EmbeddedCells) -> dict[str, float]:
        from scipy.stats import chi2

        assert cells.batches is not None
        size = np.bincount(cells.batches)
        k = kbet_neighbours(cells.n_cells, len(size))
        batches = cells.batches[np.column_stack([cells.sample, cells.neighbours(k - 1)])]
        observed = np.stack([(batches == batch).sum(axis=1) for batch in range(len(size))], axis=1)
        expected = k * size / size.sum()
        statistic = ((observed - expected) ** 2 / expected).sum(axis=1)
        return {"kBET acceptance": (chi2.sf(statistic, len(size) - 1) >= KBET_ALPHA).mean()}


class Ilisi(EmbeddingMetric):
    """Local inverse Simpson index of the batches (iLISI, Korsunsky et al. 2019), median over cells.

    It lies between 1, where each neighbourhood has cells of one batch, and the number of batches B; rescaled, it is
    (iLISI - 1) / (B - 1). The perplexity is 30, or a third of the cells if that is less. Neighbourhoods are those among the
    sampled cells.
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
    """Return the number of cells in a neighbourhood of kBET, including the cell itself."""
    return min(n_cells, max(KBET_MIN, min(KBET_MAX, int(KBET_SHARE * n_cells / n_batches))))


def _possible_neighbours(cells: EmbeddedCells) -> list[int]:
    """Return the numbers of neighbours that cells can have."""
    return [k for k in NEIGHBOURS if k < cells.n_cells]


def _max_neighbours(cells: EmbeddedCells) -> int:
    return min(max(NEIGHBOURS), cells.n_cells - 1)


def _shared(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean over rows of the share of values that are in both rows. No value may occur twice in a row."""
    both = np.sort(np.concatenate([first, second], axis=1), axis=1)
    return float((both[:, 1:] == both[:, :-1]).sum(axis=1).mean() / first.shape[1])
