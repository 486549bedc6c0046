"""Leiden clusters of the graph of neighbours, at the resolution that gives a number of clusters."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_SEARCHES = 24


def search_resolution(clusters: Any, n_wanted: int) -> tuple[NDArray[Any], float]:
    """Clusters, and the resolution that gives them, as many as wanted, or nearest to it among those that were tried.

    Parameters
    ----------
    clusters : function of a resolution
        Returns the cluster of each cell, from 0; more clusters at higher resolutions, on the whole.
    n_wanted : int
    """
    low, high, resolution = 0.0, np.inf, 1.0
    best: tuple[int, NDArray[Any], float] | None = None
    for _ in range(MOST_SEARCHES):
        found = clusters(resolution)
        excess = int(found.max()) + 1 - n_wanted
        if best is None or abs(excess) < best[0]:
            best = abs(excess), found, resolution
        if excess == 0:
            break
        low, high = (resolution, high) if excess < 0 else (low, resolution)
        resolution = 2 * low if high == np.inf else (low + high) / 2
    assert best is not None
    return best[1], best[2]


class NeighbourGraph:
    """The graph of neighbours, to be clustered by Leiden at several resolutions (Traag et al. 2019), as scanpy's igraph flavour."""

    def __init__(self, connectivities: Any, seed: int) -> None:
        import igraph
        from scipy import sparse

        upper = sparse.triu(connectivities, k=1, format="coo")
        edges = np.column_stack([upper.row, upper.col])
        self._graph = igraph.Graph(n=connectivities.shape[0], edges=edges, directed=False)
        self._weights, self._seed = upper.data, seed

    def clusters(self, resolution: float) -> NDArray[np.intp]:
        """Cluster of each cell, the largest being 0."""
        import igraph

        igraph.set_random_number_generator(random.Random(self._seed))
        try:
            found = self._graph.community_leiden("modularity", weights=self._weights, resolution=resolution, n_iterations=2)
        finally:
            igraph.set_random_number_generator(random)
        membership = np.asarray(found.membership)
        size = np.bincount(membership)
        rank = np.empty(len(size), dtype=np.intp)
        rank[np.argsort(-size, kind="stable")] = np.arange(len(size))
        return rank[membership]
