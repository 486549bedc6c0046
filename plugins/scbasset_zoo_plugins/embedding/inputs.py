"""Options of `embedding`, and the files and objects that they name: opened and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray
from pydantic import Field

from scbasset_zoo import InputError
from scbasset_zoo.extend.analysis import Options
from scbasset_zoo.extend.cell_groups import labels_of
from scbasset_zoo.extend.companion_data import CompanionData
from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.neighbours import require_fewer_neighbours_than_cells
from scbasset_zoo.extend.space import SPACE_HELP, Space, choose_space

if TYPE_CHECKING:
    from scbasset_zoo import Model


class EmbeddingOptions(Options):
    """How cells are clustered and mapped, and what the embedding is scored against."""

    earlier_names: ClassVar = {"label": "group_by"}

    group_by: str | None = Field(
        None, description="Column of the cells with their groups, such as cell types, to score clusters and neighbours against."
    )
    rna: Path | Any | None = Field(
        None, description="RNA of the same cells (.h5ad) with an embedding in .obsm, for neighbour scores."
    )
    rna_key: str = Field("X_pca", description="Key of the RNA's embedding in .obsm.")
    space: Space | None = Field(None, description=SPACE_HELP)
    n_neighbours: int = Field(15, ge=2, description="Neighbours of each cell in the graph for clusters and map.")
    resolution: float | None = Field(
        None, gt=0, description="Resolution of Leiden. By default, one that gives as many clusters as groups; 1 without groups."
    )
    umap: bool = Field(True, description="Compute a UMAP; it takes minutes for each 100,000 cells.")
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of neighbours, clusters, UMAP, and of the draw of cells to score.")


@dataclass(frozen=True)
class EmbeddingInputs:
    """Inputs of `embedding`.

    Attributes
    ----------
    space : "canonical" or "published"
        The space in which cells are compared.
    labels : array of n_cells texts, or None
        The group of each cell.
    rna : CompanionData or None
    rna_embedding : array (number of cells in `rna`, dimensions), or None
        In the order of ``rna.cells``.
    """

    space: Space
    labels: NDArray[Any] | None
    rna: CompanionData | None
    rna_embedding: NDArray[Any] | None


def open_inputs(model: Model, options: EmbeddingOptions) -> EmbeddingInputs:
    """Open and check what the options name; raise InputError if it cannot be used."""
    require_fewer_neighbours_than_cells(options.n_neighbours, model)
    labels = None if options.group_by is None else labels_of(model, options.group_by)
    space = choose_space([model], options.space)
    if options.rna is None:
        return EmbeddingInputs(space, labels, None, None)
    rna = CompanionData(options.rna, model.cells.index, "rna")
    if options.rna_key not in rna.adata.obsm:
        raise InputError(
            f"{option('rna')} has no .obsm {options.rna_key!r}; it has {', '.join(rna.adata.obsm) or 'none'}. "
            f"Choose one with {option('rna_key')}."
        )
    return EmbeddingInputs(space, labels, rna, rna.obsm(options.rna_key, rna.cells))
