"""What a score of an embedding and a method of integration are, and what a score is given: cells, sampled, with neighbours."""

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
    """Cells in a space, with what is known of them; scores are means over `sample`.

    Parameters
    ----------
    embedding : float array (n_cells, dimensions)
    labels, clusters, batches : array of n_cells values, optional
        None missing.
    rna : float array (n_cells, dimensions), optional
        An embedding of the same cells by their RNA.
    seed : int
        Of the sample.
    most_cells : int
        Of more cells than this, so many are sampled.

    Attributes
    ----------
    embedding, rna : as given, or None
    labels, clusters, batches : integer codes (n_cells,), or None
    sample : positions, ascending
        The cells that scores are taken over; their neighbours are sought among all cells.
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
        self._found: dict[str, Array] = {}

    @property
    def n_cells(self) -> int:
        """How many there are, of which `sample` are some."""
        return len(self.embedding)

    def has(self, name: str) -> bool:
        """Whether `labels`, `clusters`, `batches` or `rna` is known."""
        return getattr(self, name) is not None

    def neighbours(self, n: int, space: Literal["embedding", "rna"] = "embedding") -> Array:
        """Positions (len(sample), n) of the nearest cells by Euclidean distance, nearest first, the cell itself left out."""
        found = self._found.get(space)
        if found is None or found.shape[1] < n:
            found = self._found[space] = _neighbours(getattr(self, space), self.sample, n)
        return found[:, :n]


class EmbeddingMetric(ABC):
    """A score of an embedding; subclass it and return the class from `register_embedding_metrics`.

    Attributes
    ----------
    name : str
        Unique among the installed metrics.
    needs : frozenset of "labels", "clusters", "batches", "rna"
        What must be known of the cells; without it the metric is left out.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def score(self, cells: EmbeddedCells) -> Mapping[str, float]:
        """Scores by the name that tables show, taken over ``cells.sample``."""


class IntegrationMethod(ABC):
    """A correction of batches in an embedding; subclass it and return the class from `register_integration_methods`.

    Attributes
    ----------
    name : str
        As tables and figures show it.
    """

    name: ClassVar[str]

    @abstractmethod
    def integrate(self, embedding: Array, batches: Array, *, seed: int) -> Array:
        """Cells placed so that batches mix.

        Parameters
        ----------
        embedding : float32 array (n_cells, dimensions)
            Uncorrected.
        batches : array of n_cells texts
        seed : int

        Returns
        -------
        float array (n_cells, any number of dimensions)
        """


def _neighbours(points: Array, sample: Array, n: int) -> Array:
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=n + 1, algorithm="brute").fit(points).kneighbors(points[sample], return_distance=False)
    other = found != sample[:, None]
    # Among more than n copies of a cell, the cell itself need not be found.
    other[other.all(axis=1), -1] = False
    return found[other].reshape(len(sample), n)
