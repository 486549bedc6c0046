"""Contracts of metrics of an embedding and of integration methods, and the cells that a metric is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST_CELLS = 20_000
Array = NDArray[Any]


class EmbeddedCells:
    """An embedding of cells, with any of their labels, clusters, batches and RNA.

    Scores are means over `sample`, so that they stay quick for many cells.

    Parameters
    ----------
    embedding : float array (n_cells, n_dimensions)
    labels, clusters, batches : array of n_cells values, optional
        No value may be missing.
    rna : float array (n_cells, n_dimensions), optional
        An embedding of the same cells by their RNA.
    seed : int
        Seed of the sample.
    most_cells : int
        Size of the sample. Fewer cells are all in the sample.

    Attributes
    ----------
    embedding, rna : as given, or None
    labels, clusters, batches : int array (n_cells,), or None
        Values as codes from 0.
    sample : int array
        Positions of the cells that scores are means over, ascending. Their neighbours may be any cells.
    seed : int
    """

    def __init__(
        self,
        embedding: Array,
        *,
        labels: Any = None,
        clusters: Any = None,
        batches: Any = None,
        rna: Array | None = None,
        seed: int = 0,
        most_cells: int = MOST_CELLS,
    ) -> None:
        self.embedding, self.rna, self.seed = embedding, rna, seed
        self.labels, self.clusters, self.batches = (
            None if values is None else pd.factorize(np.asarray(values), sort=True)[0] for values in (labels, clusters, batches)
        )
        if len(embedding) <= most_cells:
            self.sample = np.arange(len(embedding))
        else:
            self.sample = np.sort(np.random.default_rng(seed).choice(len(embedding), most_cells, replace=False))
        self._neighbours: dict[str, Array] = {}

    @property
    def n_cells(self) -> int:
        """Number of all cells, in the sample or not."""
        return len(self.embedding)

    def has(self, name: str) -> bool:
        """Return whether `labels`, `clusters`, `batches` or `rna` is given."""
        return getattr(self, name) is not None

    def neighbours(self, n: int, space: Literal["embedding", "rna"] = "embedding") -> Array:
        """Return the nearest cells of each cell in the sample.

        Parameters
        ----------
        n : int
            Number of neighbours.
        space : "embedding" or "rna"
            Where the Euclidean distance is measured.

        Returns
        -------
        int array (len(sample), n)
            Positions of cells, nearest first, without the cell itself.
        """
        neighbours = self._neighbours.get(space)
        if neighbours is None or neighbours.shape[1] < n:
            neighbours = self._neighbours[space] = _neighbours(getattr(self, space), self.sample, n)
        return neighbours[:, :n]


class EmbeddingMetric(ABC):
    """A metric of an embedding. Subclass it, and return the class from `register_embedding_metrics`.

    Attributes
    ----------
    name : str
        A name that no other metric has.
    needs : frozenset of "labels", "clusters", "batches", "rna"
        What the metric needs beside the embedding. It is not computed for cells without it.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def score(self, cells: EmbeddedCells) -> Mapping[str, float]:
        """Compute one or more scores as means over ``cells.sample``, by the names that tables show."""


class IntegrationMethod(ABC):
    """A method that corrects an embedding for batches. Subclass it, and return the class from `register_integration_methods`.

    Attributes
    ----------
    name : str
        The name that tables and figures show. No other method has it.
    """

    name: ClassVar[str]

    @abstractmethod
    def integrate(self, embedding: Array, batches: Array, *, seed: int) -> Array:
        """Return an embedding in which the batches mix.

        Parameters
        ----------
        embedding : float32 array (n_cells, n_dimensions)
            The uncorrected embedding, a copy that may be changed.
        batches : array of n_cells strings
        seed : int

        Returns
        -------
        float array (n_cells, any number of dimensions)
        """


def _neighbours(points: Array, sample: Array, n: int) -> Array:
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=n + 1, algorithm="brute").fit(points)
    nearest = search.kneighbors(points[sample], return_distance=False)
    is_other = nearest != sample[:, None]
    # With more than n copies of a cell, the search may return n + 1 copies and not the cell itself.
    is_other[is_other.all(axis=1), -1] = False
    neighbours: Array = nearest[is_other].reshape(len(sample), n)
    return neighbours
