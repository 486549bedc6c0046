"""Computes the graph of nearest neighbours and the UMAP of cells, with scanpy."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    import anndata as ad

    from scbasset_zoo.runtime.model import Model


def add_neighbours(adata: ad.AnnData, key: str, n_neighbours: int, seed: int, *, umap: bool = True) -> None:
    """Add the graph of neighbours in ``.obsm[key]`` and its UMAP to `adata`, under the names that scanpy uses.

    UMAP starts from the first two principal components. The usual start, from eigenvectors of the graph, needs memory that
    grows with the number of cells to the power of 1.5.

    Parameters
    ----------
    adata : AnnData
        Changed in place.
    key : str
        Where in ``.obsm`` the cells' positions are, (n_cells, dimensions).
    n_neighbours : int
        Neighbours of each cell; scanpy counts the cell itself among them.
    seed : int
    umap : bool
        Without it, only the graph is added.
    """
    import scanpy as sc

    with warnings.catch_warnings(), _without_tensorflow():
        warnings.simplefilter("ignore")  # numba and UMAP warn about threads and seeds
        sc.pp.neighbors(adata, n_neighbors=n_neighbours, use_rep=key, random_state=seed)
        adata.uns["neighbors"].pop("rp_forest", None)  # the search index, which is larger than the graph
        if umap:
            sc.tl.umap(adata, init_pos=_principal_components(adata.obsm[key]), random_state=seed)


def require_fewer_neighbours_than_cells(n_neighbours: int, model: Model) -> None:
    """Raise InputError if a model has too few cells for the option `n_neighbours`."""
    if n_neighbours >= model.n_cells:
        raise InputError(
            f"{option('n_neighbours', n_neighbours)}: the model has {model.n_cells:,} cells; give a number below that."
        )


@contextlib.contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Keep umap-learn from importing TensorFlow. It does so if it can, for a class that is not used by scanpy."""
    hidden = "tensorflow" not in sys.modules and "umap" not in sys.modules
    if hidden:
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules["tensorflow"]


def _principal_components(points: NDArray[Any]) -> Any:
    """Return the first two principal components (n_cells, 2), or "random" if there are fewer dimensions."""
    if points.shape[1] < 2:
        return "random"
    centred = points - points.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return centred @ vectors[:, :-3:-1]
