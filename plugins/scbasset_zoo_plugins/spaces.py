"""Where results keep the cell embeddings of a model: in `.obsm`, under one name for each space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scbasset_zoo.extend.space import Space, cells_in

if TYPE_CHECKING:
    import anndata as ad

    from scbasset_zoo import Model

KEYS: Mapping[Space, str] = {"published": "X_scbasset", "canonical": "X_scbasset_canonical"}


def add_embeddings(result: ad.AnnData, model: Model) -> None:
    """Add the embeddings of all cells to ``.obsm``: the published one, and the canonical one if the model has a gauge."""
    for space in spaces_of(model):
        result.obsm[KEYS[space]] = cells_in(model, space)


def spaces_of(model: Model) -> tuple[Space, ...]:
    """Return the spaces in which the cells of a model have an embedding."""
    return ("published",) if model.gauge is None else ("published", "canonical")


def recorded_space(settings: Mapping[str, object]) -> Space:
    """Return the space that an analysis recorded in its settings in ``.uns``; 0.1.0 had the published one alone."""
    return "canonical" if str(settings.get("space", "published")) == "canonical" else "published"
