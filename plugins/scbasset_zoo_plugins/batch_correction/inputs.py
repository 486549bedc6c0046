"""Options of `batch-correction`, and the files, models and methods that they name: opened and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from scbasset_zoo import InputError, integration_methods, open_model
from scbasset_zoo.extend.analysis import Options
from scbasset_zoo.extend.cell_groups import labels_of
from scbasset_zoo.extend.companion_data import CompanionData
from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.neighbours import require_fewer_neighbours_than_cells
from scbasset_zoo.extend.space import SPACE_HELP, Space, cells_in, choose_space

if TYPE_CHECKING:
    from scbasset_zoo import Model

Array = NDArray[Any]


class BatchCorrectionOptions(Options):
    """What the batch-corrected model is compared with."""

    earlier_names: ClassVar = {"label": "group_by", "batch": "batch_key"}

    group_by: str | None = Field(
        None, description="Column of the cells with their groups, such as cell types, to see what a correction keeps."
    )
    batch_key: str | None = Field(None, description="Column of the cells with their batches; by default the one of the card.")
    counts: Path | Any | None = Field(None, description="Counts, cells x peaks (.h5ad), for LSI; above 0 is open.")
    plain: str | Path | Any | None = Field(None, description="A model of the same cells without batch correction.")
    models: list[Any] | None = Field(
        None, description="More batch-corrected models of the same cells, such as with other L2 penalties."
    )
    methods: list[str] | None = Field(
        None, description="Integration methods for LSI and the plain model; by default all that are installed."
    )
    space: Space | None = Field(None, description=SPACE_HELP)
    n_components: int = Field(50, ge=2, description="Dimensions of LSI, including the one that follows depth.")
    n_neighbours: int = Field(15, ge=2, description="Neighbours of each cell in the graph for the maps.")
    umap: bool = Field(True, description="Compute a UMAP for each method.")
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of LSI, methods and UMAPs, and of the draw of cells to score.")


@dataclass(frozen=True)
class BatchCorrectionInputs:
    """Inputs of `batch-correction`.

    Attributes
    ----------
    barcodes : Index
        The model's cells.
    batch_key : str
    batches : array of n_cells texts
    labels : array of n_cells texts, or None
        The group of each cell.
    counts : CompanionData or None
        It has all cells of the model.
    plain : ModelOfSameCells or None
    models : list of ModelOfSameCells
        The further batch-corrected models.
    methods : list of str
        Names of integration methods.
    space : "canonical" or "published"
        The one embedding of all models that is compared.
    """

    barcodes: pd.Index
    batch_key: str
    batches: NDArray[np.object_]
    labels: NDArray[np.object_] | None
    counts: CompanionData | None
    plain: ModelOfSameCells | None
    models: list[ModelOfSameCells]
    methods: list[str]
    space: Space


@dataclass(frozen=True)
class ModelOfSameCells:
    """A model that has the same cells as the analysed one, maybe in another order.

    Attributes
    ----------
    model : Model
    positions : int array (n_cells,)
        Where in `model` each cell of the analysed model is.
    """

    model: Model
    positions: Array

    def cells_in(self, space: Space) -> Array:
        """Return the cell embedding in a space, (n_cells, k), in the order of the analysed model."""
        return cells_in(self.model, space)[self.positions]


def open_inputs(model: Model, options: BatchCorrectionOptions) -> BatchCorrectionInputs:
    """Open and check what the options name; raise InputError if it cannot be used."""
    _require_batch_corrected(model)
    assert model.card.batch_correction is not None
    batch_key = options.batch_key or model.card.batch_correction.column
    batches = labels_of(model, batch_key, "batch_key")
    labels = None if options.group_by is None else labels_of(model, options.group_by)
    require_fewer_neighbours_than_cells(options.n_neighbours, model)
    plain = None if options.plain is None else _open_plain(model, options.plain)
    models = [_open_corrected(model, other) for other in options.models or []]
    return BatchCorrectionInputs(
        barcodes=model.cells.index,
        batch_key=batch_key,
        batches=batches,
        labels=labels,
        counts=None if options.counts is None else _open_counts(model, options),
        plain=plain,
        models=models,
        methods=_methods(options.methods),
        space=choose_space([model, *(other.model for other in [*([plain] if plain else []), *models])], options.space),
    )


def _require_batch_corrected(model: Model) -> None:
    if model.batches is None or model.card.batch_correction is None:
        raise InputError(
            f"{model.card.id} {model.card.version} was trained without batch correction. Give a model that was trained with "
            f"{option('batch_key')}, and this one as {option('plain')}."
        )


def _open_counts(model: Model, options: BatchCorrectionOptions) -> CompanionData:
    """Open the counts, which must have all cells and enough rows and columns for LSI."""
    counts = CompanionData(options.counts, model.cells.index, "counts")
    if len(counts.cells) < model.n_cells:
        missing = np.setdiff1d(np.arange(model.n_cells), counts.cells)
        raise InputError(
            f"{option('counts')} lacks {len(missing):,} of the model's {model.n_cells:,} cells, such as "
            f"{model.cells.index[missing[0]]!r}. Give counts of all cells."
        )
    if options.n_components >= min(counts.adata.shape):
        raise InputError(
            f"{option('n_components')} must be less than the number of cells and of peaks in {option('counts')}, "
            f"{min(counts.adata.shape):,}; found {options.n_components}."
        )
    return counts


def _open_plain(model: Model, plain: Any) -> ModelOfSameCells:
    opened = _open_same_cells(model, plain, "plain")
    if opened.model.batches is not None:
        card = opened.model.card
        raise InputError(f"{option('plain')}: {card.id} {card.version} is batch-corrected; give it as one of {option('models')}.")
    return opened


def _open_corrected(model: Model, other: Any) -> ModelOfSameCells:
    opened = _open_same_cells(model, other, "models")
    _require_batch_corrected(opened.model)
    return opened


def _open_same_cells(model: Model, other: Any, name: str) -> ModelOfSameCells:
    """Open a model, and check that it has the same cells as `model`."""
    if isinstance(other, str | Path):
        other = open_model(other, device=model.device.name)
    positions = other.cells.index.get_indexer(model.cells.index)
    if other.n_cells != model.n_cells or (positions < 0).any():
        raise InputError(
            f"{option(name)}: {other.card.id} {other.card.version} has {other.n_cells:,} cells, of which "
            f"{int((positions >= 0).sum()):,} are among the {model.n_cells:,} cells of {model.card.id} {model.card.version}. Both "
            "must have the same cells."
        )
    return ModelOfSameCells(other, positions)


def _methods(names: list[str] | None) -> list[str]:
    """Names of the integration methods to try."""
    installed = list(integration_methods())
    if names is None:
        return installed
    for name in names:
        if name not in installed:
            raise InputError(
                f"{option('methods')}: {name!r} is not installed; installed methods are {', '.join(installed) or 'none'}."
            )
    return names
