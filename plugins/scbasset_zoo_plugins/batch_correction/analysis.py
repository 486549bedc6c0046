"""Compares corrections of batches: how well each mixes the batches, and how well it keeps the groups of cells apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo import compare_with_chance, integrate, score_embedding
from scbasset_zoo.extend.analysis import Analysis, Context
from scbasset_zoo.extend.console import say
from scbasset_zoo.extend.embedding import EmbeddedCells, reasons_of_undefined
from scbasset_zoo.extend.neighbours import add_neighbours
from scbasset_zoo.extend.space import Space, cells_in
from scbasset_zoo_plugins.batch_correction.inputs import (
    BatchCorrectionInputs,
    BatchCorrectionOptions,
    ModelOfSameCells,
    open_inputs,
)
from scbasset_zoo_plugins.batch_correction.lsi import lsi, open_peaks
from scbasset_zoo_plugins.batch_correction.warnings import warnings_of_inputs, warnings_of_mixing
from scbasset_zoo_plugins.spaces import spaces_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo import Model
    from scbasset_zoo.extend.description import Description

Array = NDArray[Any]
Models = dict[str, tuple[str, ModelOfSameCells]]


class BatchCorrection(Analysis):
    """A batch-corrected model against other corrections: mixing of batches, and groups of cells kept.

    The model, `models` and `plain` are compared, and latent semantic indexing (LSI) of the counts. LSI and `plain` are compared
    as they are, and as corrected by each installed integration method. The result is an AnnData of cells with an embedding of
    each in ``.obsm``. ``.uns["comparison"]`` has a row for each, with scores: all installed metrics for which there are data. A
    score that the cells do not define is NaN, and the column ``note`` says why. ``.uns["chance"]`` has what each score would be if
    batches and groups were exchanged between cells at random. ``.uns["batch_correction"]["warnings"]`` says what makes the
    comparison misleading.

    All models are compared in one space: the canonical one if all have a gauge. ``.obsm`` has the published embedding of each, and
    the canonical one of each that has a gauge. If all have one, ``.uns["other_space"]`` has the scores in the other space.
    """

    name = "batch-correction"
    Options = BatchCorrectionOptions

    def open_inputs(self, model: Model, options: BatchCorrectionOptions) -> BatchCorrectionInputs:
        return open_inputs(model, options)

    def run(self, model: Model, inputs: BatchCorrectionInputs, options: BatchCorrectionOptions, context: Context) -> ad.AnnData:
        result = ad.AnnData(obs=model.cells.copy())
        warnings = _reported(warnings_of_inputs(model, inputs))
        rows: dict[str, dict[str, Any]] = {}

        def add(name: str, key: str, embedding: Array, **columns: Any) -> None:
            result.obsm[f"X_{key}"] = embedding
            rows[name] = {"obsm": f"X_{key}", **columns, **_scores(embedding, inputs, options.seed)}
            if options.umap:
                mapped = ad.AnnData(obs=pd.DataFrame(index=result.obs_names), obsm={"X": embedding})
                add_neighbours(mapped, "X", options.n_neighbours, options.seed)
                result.obsm[f"X_umap_{key}"] = mapped.obsm["X_umap"]

        corrected = _corrected(model, inputs)
        plain = {} if inputs.plain is None else {"scBasset": ("scbasset", inputs.plain)}
        for key, other in (plain | corrected).values():
            for space in spaces_of(other.model):
                result.obsm[f"X_{_key_in(space, key)}"] = other.cells_in(space)
        uncorrected = _uncorrected(inputs, options)
        total = len(corrected) + len(uncorrected) * (1 + len(inputs.methods)) + 1
        with context.progress("comparing corrections", total) as advance:
            for name, (key, embedding) in uncorrected.items():
                in_space = {"space": inputs.space if name == "scBasset" else ""}
                add(name, key, embedding, kind="uncorrected", corrects="", **in_space)
                advance(1)
                for method in inputs.methods:
                    integrated = integrate(method, embedding, inputs.batches, seed=options.seed)
                    if integrated is not None:
                        add(f"{method} on {name}", f"{key}_{_key(method)}", integrated, kind=method, corrects=name, **in_space)
                    advance(1)
            for name, (key, other) in corrected.items():
                about = {"kind": "scBasset-BC", "corrects": "scBasset" if plain else "", "space": inputs.space}
                add(name, _key_in(inputs.space, key), other.cells_in(inputs.space), **about, **_penalties(other.model))
                advance(1)
            in_other_space = _in_other_space(plain | corrected, inputs, options.seed)
            advance(1)
        comparison = pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
        chance = compare_with_chance(
            EmbeddedCells(cells_in(model, inputs.space), labels=inputs.labels, batches=inputs.batches, seed=options.seed)
        )[["chance", "chance_sd"]]
        warnings += _reported(warnings_of_mixing(comparison, chance))
        result.uns["comparison"], result.uns["chance"] = comparison, chance
        if in_other_space is not None:
            result.uns["other_space"] = in_other_space
        result.uns["batch_correction"] = {
            "group_by": options.group_by or "",
            "batch_key": inputs.batch_key,
            "space": inputs.space,
            "warnings": np.array(warnings, dtype=object),
        }
        context.provenance["space"] = inputs.space
        return result

    def plot(self, result: ad.AnnData) -> Mapping[str, Figure]:
        from scbasset_zoo_plugins.batch_correction.figures import figures

        return figures(result)

    def describe(self, result: ad.AnnData) -> Description:
        from scbasset_zoo_plugins.batch_correction.description import describe

        return describe(result)


def _reported(warnings: list[str]) -> list[str]:
    """Show warnings, and return them."""
    for warning in warnings:
        say(warning)
    return warnings


def _uncorrected(inputs: BatchCorrectionInputs, options: BatchCorrectionOptions) -> dict[str, tuple[str, Array]]:
    """Embeddings without batch correction by name, each with its key in ``.obsm``."""
    embeddings: dict[str, tuple[str, Array]] = {}
    if inputs.counts is not None:
        embeddings["LSI"] = "lsi", lsi(open_peaks(inputs.counts, inputs.barcodes), options.n_components, options.seed)
    if inputs.plain is not None:
        embeddings["scBasset"] = _key_in(inputs.space, "scbasset"), inputs.plain.cells_in(inputs.space)
    return embeddings


def _scores(embedding: Array, inputs: BatchCorrectionInputs, seed: int) -> dict[str, Any]:
    """Return the number of cells that are scored, each score, and a note on those that are undefined."""
    cells = EmbeddedCells(embedding, labels=inputs.labels, batches=inputs.batches, seed=seed)
    scores = score_embedding(cells)
    note = "; ".join(f"{score}: {reason}" for score, reason in reasons_of_undefined(scores).items())
    return {"n_cells": len(cells.sample), **scores, "note": note}


def _in_other_space(models: Models, inputs: BatchCorrectionInputs, seed: int) -> pd.DataFrame | None:
    """Return the scores of models in the space in which they are not compared; None unless all have an embedding in it."""
    if any(other.model.gauge is None for _, other in models.values()):
        return None
    space: Space = "published" if inputs.space == "canonical" else "canonical"
    rows = {
        name: {"obsm": f"X_{_key_in(space, key)}", "space": space, **_scores(other.cells_in(space), inputs, seed)}
        for name, (key, other) in models.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


def _key_in(space: Space, key: str) -> str:
    """Return the key of a model's embedding in a space."""
    return key if space == "published" else f"{key}_canonical"


def _corrected(model: Model, inputs: BatchCorrectionInputs) -> Models:
    """Batch-corrected models by a name with their penalty, each with its key in ``.obsm``; models of one penalty are numbered."""
    models = [ModelOfSameCells(model, np.arange(model.n_cells)), *inputs.models]
    named: Models = {}
    for i, other in enumerate(models):
        penalty = _penalties(other.model)["l2_cell"]
        name = "scBasset-BC" if np.isnan(penalty) or len(models) == 1 else f"scBasset-BC, λ = {penalty:g}"
        named[name if name not in named else f"{name} ({len(named) + 1})"] = f"scbasset_bc_{i}" if i else "scbasset_bc", other
    return named


def _penalties(model: Model) -> dict[str, float]:
    """L2 penalties on the cell path and on the batch path; NaN if the card does not have them."""
    card = model.card.batch_correction
    assert card is not None
    return {
        "l2_cell": np.nan if card.l2_cell is None else card.l2_cell,
        "l2_batch": np.nan if card.l2_batch is None else card.l2_batch,
    }


def _key(method: str) -> str:
    """A method's name as part of a key of ``.obsm``."""
    return "".join(letter if letter.isalnum() else "_" for letter in method.lower())
