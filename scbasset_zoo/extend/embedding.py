"""Contracts of metrics of an embedding and of integration methods, the cells that a metric is given, and undefined scores."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError

MOST_CELLS = 20_000
Array = NDArray[Any]


class UndefinedScore(float):
    """A score that these cells do not define, such as the mixing of one batch: NaN, with the reason.

    Attributes
    ----------
    reason : str
    """

    reason: str

    def __new__(cls, reason: str) -> UndefinedScore:
        score = super().__new__(cls, "nan")
        score.reason = reason
        return score

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        return (self.reason,)


def reasons_of_undefined(scores: Mapping[str, float]) -> dict[str, str]:
    """Return the reason for each score that is undefined, by the name of the score."""
    return {name: score.reason for name, score in scores.items() if isinstance(score, UndefinedScore)}


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

    Raises
    ------
    InputError
        A value is missing or not finite, there is not one for each cell, or there are no cells.

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
        embedding = np.asarray(embedding)
        _check_positions(embedding, "embedding", len(embedding))
        if rna is not None:
            rna = np.asarray(rna)
            _check_positions(rna, "rna", len(embedding))
        for name, values in (("labels", labels), ("clusters", clusters), ("batches", batches)):
            if values is not None:
                _check_values(np.asarray(values), name, len(embedding))
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

    def permuted(self, names: Collection[str], *, seed: int, most_cells: int = MOST_CELLS) -> EmbeddedCells:
        """Return the same positions and clusters, with labels, batches or RNA of other cells.

        Sampled cells exchange with sampled cells, and others with others, so that neighbours need not be searched again.

        Parameters
        ----------
        names : collection of "labels", "batches", "rna"
            What moves to other cells: all of it by the same permutation.
        seed : int
            Seed of the permutation, beside the seed of the cells.
        most_cells : int
            Size of the sample, if the one of the cells is larger.
        """
        other = copy.copy(self)
        rows = np.arange(len(self.sample))
        if len(rows) > most_cells:
            rows = np.sort(np.random.default_rng(self.seed).choice(rows, most_cells, replace=False))
        other.sample = self.sample[rows]
        rng = np.random.default_rng([self.seed, seed])
        origin = np.arange(self.n_cells)
        for part in (other.sample, np.setdiff1d(origin, other.sample, assume_unique=True)):
            origin[part] = rng.permutation(part)
        other._neighbours = {space: neighbours[rows] for space, neighbours in self._neighbours.items()}
        for name in names:
            values = getattr(self, name)
            if values is not None:
                setattr(other, name, values[origin])
        if "rna" in names and "rna" in other._neighbours:
            position = np.argsort(origin)  # where the values of each cell are now
            other._neighbours["rna"] = position[other._neighbours["rna"][np.searchsorted(other.sample, origin[other.sample])]]
        return other


class EmbeddingMetric(ABC):
    """A metric of an embedding. Subclass it, and return the class from `register_embedding_metrics`.

    Attributes
    ----------
    name : str
        A name that no other metric has.
    needs : frozenset of "labels", "clusters", "batches", "rna"
        What the metric needs beside the embedding. It is not computed for cells without it.
    most_cells_for_chance : int
        The most cells from which chance is computed, the scores after labels, batches or RNA moved to other cells at random. A
        slow metric takes fewer.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    most_cells_for_chance: ClassVar[int] = MOST_CELLS

    @abstractmethod
    def score(self, cells: EmbeddedCells) -> Mapping[str, float]:
        """Compute one or more scores as means over ``cells.sample``, by the names that tables show.

        Return ``UndefinedScore(reason)`` for a score that would have the same value however the cells lie.
        """


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


def _check_positions(positions: Array, name: str, n_cells: int) -> None:
    if np.ndim(positions) != 2 or len(positions) != n_cells or not n_cells:
        expected = f"{n_cells:,} cells" if n_cells else "one cell or more"
        raise InputError(f"{name} must be cells x dimensions, with {expected}; found shape {np.shape(positions)}.")
    if not np.isfinite(positions).all():
        row = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
        raise InputError(f"{name} has NaN or infinite values, such as those of cell {row:,}. Leave such cells out.")


def _check_values(values: Array, name: str, n_cells: int) -> None:
    if values.shape != (n_cells,):
        raise InputError(f"{name} must have a value for each of the {n_cells:,} cells; found shape {values.shape}.")
    missing = pd.isna(values)
    if missing.any():
        raise InputError(
            f"{name} has no value for {int(missing.sum()):,} cells, such as cell {int(missing.argmax()):,}. Leave such cells out."
        )


def _neighbours(points: Array, sample: Array, n: int) -> Array:
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=n + 1, algorithm="brute").fit(points)
    nearest = search.kneighbors(points[sample], return_distance=False)
    is_other = nearest != sample[:, None]
    # With more than n copies of a cell, the search may return n + 1 copies and not the cell itself.
    is_other[is_other.all(axis=1), -1] = False
    neighbours: Array = nearest[is_other].reshape(len(sample), n)
    return neighbours
