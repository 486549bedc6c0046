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
from scipy import sparse

import scbasset_zoo as sz
from scbasset_zoo.analysis import Analysis, Context, Options
from scbasset_zoo.embedding import EmbeddedCells, integrate, scores
from scbasset_zoo.errors import InputError
from scbasset_zoo.plugin_manager import integration_methods
from scbasset_zoo_plugins import maps
from scbasset_zoo_plugins.cell_groups import labels_of
from scbasset_zoo_plugins.measured import Measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo.runtime.model import Model

Array = NDArray[Any]

COUNT_SCALE = 10_000
DEPTH_CORRELATION = 0.5
MIXING = ("iLISI, rescaled", "kBET acceptance")
KEPT = "label score at 50"
MAPS_A_ROW = 4


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

    def check(self, model: Model, options: BatchCorrectionOptions) -> None:
        self._inputs = _read_inputs(model, options)

    def run(self, model: Model, options: BatchCorrectionOptions, context: Context) -> ad.AnnData:
        inputs = self._inputs
        result = ad.AnnData(obs=model.cells.copy())
        rows: dict[str, dict[str, Any]] = {}

        def add(name: str, key: str, embedding: Array, **facts: Any) -> None:
            result.obsm[f"X_{key}"] = embedding
            cells = EmbeddedCells(embedding, labels=inputs.labels, batches=inputs.batches, seed=options.seed)
            rows[name] = {"obsm": f"X_{key}", **facts, "n_cells": len(cells.sample), **scores(cells)}
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
        figures = {"trade_off": _trade_off(table)} if KEPT in table else {}
        if f"X_umap_{table['obsm'].iloc[0].removeprefix('X_')}" in result.obsm:
            figures["umaps"] = _maps(result, table, columns)
        return figures


@dataclass(frozen=True)
class _Inputs:
    barcodes: pd.Index
    batch_column: str
    batches: NDArray[np.object_]
    labels: NDArray[np.object_] | None
    counts: Measured | None
    plain: tuple[Model, Array] | None
    others: list[tuple[Model, Array]]
    methods: list[str]


def _read_inputs(model: Model, options: BatchCorrectionOptions) -> _Inputs:
    _require_batches(model)
    assert model.card.batch_correction is not None
    column = options.batch or model.card.batch_correction.column
    batches = labels_of(model, column, "batch")
    labels = None if options.label is None else labels_of(model, options.label)
    if options.n_neighbours >= model.n_cells:
        raise InputError(f"n_neighbours must be less than the {model.n_cells:,} cells; found {options.n_neighbours}.")
    counts = None
    if options.counts is not None:
        counts = Measured(options.counts, model.cells.index, "counts")
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
    return _Inputs(model.cells.index, column, batches, labels, counts, plain, others, methods)


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


def _uncorrected(inputs: _Inputs, options: BatchCorrectionOptions) -> dict[str, tuple[str, Array]]:
    """Embeddings with the batches in them, as key and values, by name."""
    found = {}
    if inputs.counts is not None:
        found["LSI"] = "lsi", lsi(_open_peaks(inputs.counts, inputs.barcodes), options.n_components, options.seed)
    if inputs.plain is not None:
        model, order = inputs.plain
        found["scBasset"] = "scbasset", model.cell_embedding[order]
    return found


def lsi(is_open: sparse.csr_matrix, n_components: int = 50, seed: int = 0) -> NDArray[np.float32]:
    """Latent semantic indexing of open peaks, without the component that follows depth.

    Open peaks are weighted by log(1 + 10,000 * TF * IDF): TF is 1 over the cell's open peaks, IDF the cells over those in
    which the peak is open (Stuart et al. 2021). Of the truncated singular value decomposition the component most
    correlated with log depth is left out, if its |r| is above 0.5.

    Parameters
    ----------
    is_open : csr_matrix (n_cells, n_peaks)
        1 where a peak is open, and nothing else; no cell is empty.
    n_components : int
        Including the one that may be left out.
    seed : int

    Returns
    -------
    float32 array (n_cells, n_components or one less)
    """
    from sklearn.decomposition import TruncatedSVD

    weights = is_open.astype(np.float32)
    depth = np.diff(weights.indptr)
    frequency = np.bincount(weights.indices, minlength=weights.shape[1])
    weights.data = np.log1p(
        np.float32(COUNT_SCALE) * np.repeat(1 / depth, depth) * (len(depth) / frequency[weights.indices])
    ).astype(np.float32)
    components = TruncatedSVD(n_components, random_state=seed).fit_transform(weights)
    correlation = np.abs([np.corrcoef(component, np.log(depth))[0, 1] for component in components.T])
    if np.nanmax(correlation) > DEPTH_CORRELATION:
        components = np.delete(components, np.nanargmax(correlation), axis=1)
    return components.astype(np.float32)


def _open_peaks(counts: Measured, barcodes: pd.Index) -> sparse.csr_matrix:
    """Cells x peaks, 1 where above 0, in the model's order of cells."""
    found = sparse.csr_matrix(counts.read(counts.cells))
    # Made anew of its parts: only then have indices and indptr one type in a matrix that was read from a file.
    is_open = sparse.csr_matrix(((found.data > 0).astype(np.float32), found.indices, found.indptr), shape=found.shape)
    is_open.eliminate_zeros()
    empty = np.flatnonzero(np.diff(is_open.indptr) == 0)
    if len(empty):
        raise InputError(f"counts: {len(empty):,} cells have no open peak, such as {barcodes[empty[0]]!r}.")
    return is_open


class Harmony(sz.IntegrationMethod):
    """Harmony (Korsunsky et al. 2019), as harmonypy computes it with its defaults."""

    name = "Harmony"

    def integrate(self, embedding: Array, batches: Array, *, seed: int) -> Array:
        from harmonypy import run_harmony

        n_clusters = int(np.clip(round(len(embedding) / 30), 2, 100))
        table = pd.DataFrame({"batch": batches})
        return run_harmony(embedding.T, table, ["batch"], nclust=n_clusters, verbose=False, random_state=seed).Z_corr


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


def _trade_off(table: pd.DataFrame) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    kinds = list(dict.fromkeys(table["kind"]))
    for ax, mixing in zip(figure.subplots(1, 2, sharey=True), MIXING, strict=True):
        for i, name in enumerate(table.index):
            kind = kinds.index(table["kind"].iloc[i])
            ax.scatter(
                table[mixing].iloc[i], table[KEPT].iloc[i],
                s=70, color=maps.COLOURS[i % len(maps.COLOURS)], marker=maps.MARKERS[kind % len(maps.MARKERS)],
                edgecolors="black", linewidths=0.5, label=name if mixing == MIXING[0] else None, zorder=3,
            )  # fmt: skip
        sweep = table[table["kind"] == "scBasset-BC"].sort_values("lambda_cell")
        ax.plot(sweep[mixing], sweep[KEPT], color="0.6", linewidth=1, zorder=2)
        ax.set(xlabel=f"{mixing} (right: batches mix)")
        ax.margins(0.12)
        ax.grid(color="0.92")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel(f"{KEPT} neighbours (up: types kept)")
    figure.legend(loc="outside right center", frameon=False)
    return figure


def _maps(result: ad.AnnData, table: pd.DataFrame, columns: list[str]) -> Figure:
    from matplotlib.figure import Figure

    width = min(len(table), MAPS_A_ROW)
    height = -(-len(table) // width)
    figure = Figure(figsize=(3.4 * width + 1.5, 3.3 * height * len(columns)), layout="constrained")
    blocks = figure.subplots(height * len(columns), width, squeeze=False).reshape(len(columns), height * width)
    for block, column in zip(blocks, columns, strict=True):
        for i, (ax, name, key) in enumerate(zip(block, table.index, table["obsm"], strict=False)):
            points = np.asarray(result.obsm[key.replace("X_", "X_umap_", 1)])
            maps.draw_cells(figure, ax, points, result.obs[column].astype(str), name, legend=i == width - 1)
            ax.set(title=name, xlabel="", ylabel=f"coloured by {column}" if i % width == 0 else "")
        for ax in block[len(table) :]:
            ax.set_axis_off()
    return figure
