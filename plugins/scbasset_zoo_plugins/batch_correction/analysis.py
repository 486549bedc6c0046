"""Corrections of batches side by side: how well each mixes the batches, and what it keeps of the cell types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

import scbasset_zoo as sz
from scbasset_zoo import InputError, integrate, integration_methods, score_embedding
from scbasset_zoo.extend.analysis import Analysis, Context, Options
from scbasset_zoo.extend.cell_groups import labels_of
from scbasset_zoo.extend.companion_data import CompanionData
from scbasset_zoo.extend.embedding import EmbeddedCells
from scbasset_zoo_plugins import maps
from scbasset_zoo_plugins.batch_correction.figures import KEPT, map_figures, trade_off_figure
from scbasset_zoo_plugins.batch_correction.lsi import lsi, open_peaks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo import Model

Array = NDArray[Any]


class BatchCorrectionOptions(Options):
    """What to compare the batch-corrected model with."""

    label: str | None = Field(None, description="Column of the cells with their types, to see what a correction keeps.")
    batch: str | None = Field(None, description="Column of the cells with their batches; the card's by default.")
    counts: Path | Any | None = Field(None, description="Cells x peaks as measured (.h5ad), for LSI; above 0 is open.")
    plain: str | Path | Any | None = Field(None, description="A model of the same cells without batch correction.")
    models: list[str] | list[Any] | None = Field(
        None, description="More batch-corrected models of the same cells, such as with other L2 penalties."
    )
    methods: list[str] | None = Field(None, description="Corrections to try on LSI and the plain model; all that are installed.")
    n_components: int = Field(50, ge=2, description="Dimensions of LSI, the one that follows depth included.")
    n_neighbours: int = Field(15, ge=2, description="Neighbours of each cell in the graph of the maps.")
    umap: bool = Field(True, description="Map the cells by each method.")
    seed: int = Field(0, ge=0, lt=2**31, description="Of LSI, corrections, maps, and of the cells that are scored.")


class BatchCorrection(Analysis):
    """The batch-corrected model against other corrections: mixing of batches, and cell types kept.

    Compared are the model, `models`, `plain` and latent semantic indexing (LSI) of the counts, both as they are and as each
    installed method corrects them. The result is cells with an embedding of each in ``.obsm``; ``.uns["comparison"]`` has a
    row for each, with the scores of the installed metrics that batches and labels allow.
    """

    name = "batch-correction"
    Options = BatchCorrectionOptions

    def open_inputs(self, model: Model, options: BatchCorrectionOptions) -> BatchCorrectionInputs:
        return _read_inputs(model, options)

    def run(self, model: Model, inputs: BatchCorrectionInputs, options: BatchCorrectionOptions, context: Context) -> ad.AnnData:
        result = ad.AnnData(obs=model.cells.copy())
        rows: dict[str, dict[str, Any]] = {}

        def add(name: str, key: str, embedding: Array, **facts: Any) -> None:
            result.obsm[f"X_{key}"] = embedding
            cells = EmbeddedCells(embedding, labels=inputs.labels, batches=inputs.batches, seed=options.seed)
            rows[name] = {"obsm": f"X_{key}", **facts, "n_cells": len(cells.sample), **score_embedding(cells)}
            if options.umap:
                mapped = ad.AnnData(obs=pd.DataFrame(index=result.obs_names), obsm={"X": embedding})
                maps.map_cells(mapped, "X", options.n_neighbours, options.seed)
                result.obsm[f"X_umap_{key}"] = mapped.obsm["X_umap"]

        uncorrected = _uncorrected(inputs, options)
        total = 1 + len(inputs.others) + len(uncorrected) * (1 + len(inputs.methods))
        with context.progress("comparing corrections", total) as advance:
            for name, (key, embedding) in uncorrected.items():
                add(name, key, embedding, kind="uncorrected")
                advance(1)
                for method in inputs.methods:
                    corrected = integrate(method, embedding, inputs.batches, seed=options.seed)
                    if corrected is not None:
                        add(f"{method} on {name}", f"{key}_{_slug(method)}", corrected, kind=method)
                    advance(1)
            for i, (name, corrected_model, order) in enumerate(_named([(model, np.arange(model.n_cells)), *inputs.others])):
                embedding = corrected_model.cell_embedding[order]
                add(name, f"scbasset_bc{f'_{i}' * bool(i)}", embedding, kind="scBasset-BC", **_penalties(corrected_model))
                advance(1)
        result.uns["comparison"] = pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
        result.uns["batch_correction"] = {"label": options.label or "", "batch": inputs.batch_column}
        return result

    def plot(self, result: ad.AnnData) -> Mapping[str, Figure]:
        table, asked = result.uns["comparison"], result.uns["batch_correction"]
        columns = [column for column in (asked["batch"], asked["label"]) if column]
        figures = {"trade_off": trade_off_figure(table)} if KEPT in table else {}
        if f"X_umap_{table['obsm'].iloc[0].removeprefix('X_')}" in result.obsm:
            figures["umaps"] = map_figures(result, table, columns)
        return figures


@dataclass(frozen=True)
class BatchCorrectionInputs:
    barcodes: pd.Index
    batch_column: str
    batches: NDArray[np.object_]
    labels: NDArray[np.object_] | None
    counts: CompanionData | None
    plain: tuple[Model, Array] | None
    others: list[tuple[Model, Array]]
    methods: list[str]


def _read_inputs(model: Model, options: BatchCorrectionOptions) -> BatchCorrectionInputs:
    _require_batches(model)
    assert model.card.batch_correction is not None
    column = options.batch or model.card.batch_correction.column
    batches = labels_of(model, column, "batch")
    labels = None if options.label is None else labels_of(model, options.label)
    if options.n_neighbours >= model.n_cells:
        raise InputError(f"n_neighbours must be less than the {model.n_cells:,} cells; found {options.n_neighbours}.")
    counts = None
    if options.counts is not None:
        counts = CompanionData(options.counts, model.cells.index, "counts")
        if len(counts.cells) < model.n_cells:
            missing = np.setdiff1d(np.arange(model.n_cells), counts.cells)
            raise InputError(
                f"counts lacks {len(missing):,} of the model's {model.n_cells:,} cells, such as {model.cells.index[missing[0]]!r}."
            )
        if options.n_components >= min(counts.adata.shape):
            raise InputError(f"n_components must be less than the counts' {min(counts.adata.shape):,} cells or peaks.")
    plain = None if options.plain is None else _same_cells(model, options.plain, "plain")
    if plain is not None and plain[0].batches is not None:
        raise InputError(f"plain: {plain[0].card.id} {plain[0].card.version} is batch-corrected; give it among models.")
    others = [_same_cells(model, other, "models") for other in options.models or []]
    for other, _ in others:
        _require_batches(other)
    known = integration_methods()
    unknown = [name for name in options.methods or [] if name not in known]
    if unknown:
        raise InputError(f"methods: {unknown[0]!r} is not installed; installed are {', '.join(known) or 'none'}.")
    methods = list(known) if options.methods is None else options.methods
    return BatchCorrectionInputs(model.cells.index, column, batches, labels, counts, plain, others, methods)


def _require_batches(model: Model) -> None:
    if model.batches is None or model.card.batch_correction is None:
        raise InputError(
            f"{model.card.id} {model.card.version} was fitted without batches: give a model that was trained with a column of "
            "batches (scbasset-zoo train --batch-key), and this one as plain."
        )


def _same_cells(model: Model, other: Any, option: str) -> tuple[Model, Array]:
    """Another model of the same cells, and where its cells stand in the order of the first."""
    if isinstance(other, str | Path):
        other = sz.open_model(other, device=model.device.name)
    order = other.cells.index.get_indexer(model.cells.index)
    if other.n_cells != model.n_cells or (order < 0).any():
        raise InputError(
            f"{option}: {other.card.id} {other.card.version} has {other.n_cells:,} cells, of which {int((order >= 0).sum()):,} are "
            f"among the {model.n_cells:,} of {model.card.id} {model.card.version}; they must be the same."
        )
    return other, order


def _uncorrected(inputs: BatchCorrectionInputs, options: BatchCorrectionOptions) -> dict[str, tuple[str, Array]]:
    """Embeddings with the batches in them, as key and values, by name."""
    found = {}
    if inputs.counts is not None:
        found["LSI"] = "lsi", lsi(open_peaks(inputs.counts, inputs.barcodes), options.n_components, options.seed)
    if inputs.plain is not None:
        model, order = inputs.plain
        found["scBasset"] = "scbasset", model.cell_embedding[order]
    return found


def _penalties(model: Model) -> dict[str, float]:
    """The L2 penalties, those on the cells and on the batches; NaN where the card does not say."""
    assert model.card.batch_correction is not None
    return {
        name: np.nan if (value := getattr(model.card.batch_correction, name)) is None else value
        for name in ("lambda_cell", "lambda_batch")
    }


def _named(models: list[tuple[Model, Array]]) -> list[tuple[str, Model, Array]]:
    """Names that tell batch-corrected models apart: by penalty, and by number where that is not enough."""
    names: list[str] = []
    for model, _ in models:
        penalty = _penalties(model)["lambda_cell"]
        name = "scBasset-BC" if np.isnan(penalty) or len(models) == 1 else f"scBasset-BC, λ = {penalty:g}"
        names.append(name if name not in names else f"{name} ({len(names) + 1})")
    return [(name, model, order) for name, (model, order) in zip(names, models, strict=True)]


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name.lower())
