"""Leiden clusters of the graph of neighbours, and the search for a resolution that gives a number of clusters."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_TRIALS = 24


def search_resolution(cluster: Callable[[float], NDArray[Any]], n_clusters: int) -> tuple[NDArray[Any], float]:
    """Search the resolution that gives a number of clusters, by doubling and then halving.

    Parameters
    ----------
    cluster : function of a resolution
        Returns the cluster of each cell, from 0. Higher resolutions give more clusters, apart from exceptions.
    n_clusters : int

    Returns
    -------
    array
        The cluster of each cell. If no resolution that was tried gives the number, the nearest number of clusters.
    float
        The resolution that gives them.
    """
    low, high, resolution = 0.0, np.inf, 1.0
    best: tuple[int, NDArray[Any], float] | None = None
    for _ in range(MAX_TRIALS):
        clusters = cluster(resolution)
        excess = int(clusters.max()) + 1 - n_clusters
        if best is None or abs(excess) < best[0]:
            best = abs(excess), clusters, resolution
        if excess == 0:
            break
        low, high = (resolution, high) if excess < 0 else (low, resolution)
        resolution = 2 * low if high == np.inf else (low + high) / 2
    assert best is not None
    return best[1], best[2]


class NeighbourGraph:
    """A graph of neighbours that can be clustered at several resolutions by Leiden (Traag et al. 2019).

    Clusters are those of ``scanpy.tl.leiden`` with ``flavor="igraph"`` and two iterations.

    Parameters
    ----------
    connectivities : sparse matrix (n_cells, n_cells)
        Symmetric weights, as scanpy keeps them in ``.obsp["connectivities"]``.
    seed : int
    """

    def __init__(self, connectivities: Any, seed: int) -> None:
        import igraph
        from scipy import sparse

        upper = sparse.triu(connectivities, k=1, format="coo")
        edges = np.column_stack([upper.row, upper.col])
        self._graph = igraph.Graph(n=connectivities.shape[0], edges=edges, directed=False)
        self._weights, self._seed = upper.data, seed

    def clusters(self, resolution: float) -> NDArray[np.intp]:
        """Return the cluster of each cell; 0 is the largest."""
        import igraph

        igraph.set_random_number_generator(random.Random(self._seed))
        try:
            partition = self._graph.community_leiden("modularity", weights=self._weights, resolution=resolution, n_iterations=2)
        finally:
            igraph.set_random_number_generator(random)
        membership = np.asarray(partition.membership)
        size = np.bincount(membership)
        rank = np.empty(len(size), dtype=np.intp)
        rank[np.argsort(-size, kind="stable")] = np.arange(len(size))
        return rank[membership]
