"""Embeds new cells with a fitted model: no training, no TensorFlow."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.anndata_files import check_suffix, write_anndata_file
from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.extend.neighbours import add_neighbours
from scbasset_zoo.files import destination, new_file
from scbasset_zoo.inputs.cells_table import join_cells_table
from scbasset_zoo.inputs.matrix import MatrixLike, open_matrices
from scbasset_zoo.inputs.peak_matrix import PeakMatrix
from scbasset_zoo.inputs.samples import by_sample
from scbasset_zoo.new_cells.batch_effects import NewBatches, common_effect, known_effects, read_batches
from scbasset_zoo.new_cells.embed_options import EmbedCellsKeywords, EmbedCellsOptions
from scbasset_zoo.new_cells.expected_distances import expected_distances
from scbasset_zoo.new_cells.extended_package import extend_package
from scbasset_zoo.new_cells.figures import ModelCells, draw_new_cells
from scbasset_zoo.new_cells.label_transfer import UNLIKE, nearest_cells, transfer_labels
from scbasset_zoo.new_cells.new_labels import NewLabels, read_new_labels
from scbasset_zoo.new_cells.refitting import refit
from scbasset_zoo.new_cells.regression import CellRegression
from scbasset_zoo.new_cells.ridge import HeldOut, compare_ridges
from scbasset_zoo.options import checked_options, declares_options
from scbasset_zoo.package.integrity import files_of_package
from scbasset_zoo.progress import progress, say
from scbasset_zoo.running.figure_files import figure_folder, require_matplotlib, write_figures
from scbasset_zoo.running.libraries import default_style, prepare_libraries
from scbasset_zoo.runtime.model import Model
from scbasset_zoo.runtime.storable import storable
from scbasset_zoo.version import __version__
from scbasset_zoo.wording import did_you_mean, option
from scbasset_zoo.zoo.models import open_model

if TYPE_CHECKING:
    import anndata as ad

    from scbasset_zoo.inputs.windows import GenomeLike


# With fewer cells, scanpy cannot make a graph.
_FEWEST_FOR_GRAPH = 4


@declares_options(EmbedCellsOptions)
def embed_cells(
    model: Model | str | os.PathLike[str],
    matrix: MatrixLike | Sequence[MatrixLike] | Mapping[str, MatrixLike],
    *,
    genome: GenomeLike,
    out: str | os.PathLike[str] | None = None,
    cells_table: str | os.PathLike[str] | pd.DataFrame | None = None,
    training_matrix: MatrixLike | None = None,
    extend: str | os.PathLike[str] | None = None,
    alone: bool = False,
    plot: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    **options: Unpack[EmbedCellsKeywords],
) -> ad.AnnData:
    """Embed new cells with a fitted model, in the space of the model's own cells.

    The model turns the sequence of each peak into its embedding. A new cell is then the logistic regression of its open peaks on
    these embeddings: 32 weights and an intercept, see :mod:`scbasset_zoo.new_cells.regression`. The peaks of the new cells need
    not be those that the model was trained on.

    Parameters
    ----------
    model : Model, name, folder or URL
        It needs a gauge.
    matrix : AnnData, MuData or path; or several of them
        Cells x peaks, as :func:`scbasset_zoo.prepare` takes them.
    genome : path or Genome
        Genome of the model's assembly.
    out : path, optional
        File to write: ``.h5ad`` or ``.zarr``.
    cells_table : path or DataFrame, optional
        Columns for the new cells, by barcode.
    training_matrix : AnnData or path, optional
        The matrix that the model was trained on. A sample of the model's cells is fitted again from it: ``.uns["refitted"]`` says
        how far they land from their trained embedding, and new cells are compared with them.
    extend : path, optional
        Folder to write a new package to, whose head has the model's cells and then the new ones; see
        :func:`scbasset_zoo.new_cells.extended_package.extend_package`.
    alone : bool
        The new package has the new cells only.
    plot : path, optional
        Folder for a figure, as PNG and PDF: the new cells beside the model's, in the map of `umap_from` if it is given.
    overwrite : bool
        Replace `out` and `extend`, and the figure in `plot`, if they exist.
    quiet : bool
        Show no progress.
    **options
        See :class:`scbasset_zoo.new_cells.embed_options.EmbedCellsOptions`.

    Returns
    -------
    AnnData of the new cells, without X
        ``.obsm["X_scbasset_canonical"]`` and ``.obsm["X_scbasset"]`` are in the spaces of the model's `canonical_embedding` and
        `cell_embedding`; ``.obsm["nearest_cells"]`` are positions of the model's nearest cells, the nearest first. ``.obs`` has
        `depth`, `depth_intercept`, `n_open_peaks` (those of the fit), `few_open_peaks` (fewer than the numbers to fit),
        `converged`, `deviance_explained`, `distance_to_model` (mean over the nearest cells, in logits), `expected_nearer` (the
        share of the model's own cells that lie nearer if they are embedded as new: cells of `training_matrix`, or cells drawn from
        the model's predictions, see :mod:`scbasset_zoo.new_cells.expected_distances`),
        `unlike_model` (that share is above 0.99), and, if the model has a column of groups, its label and its confidence.
        ``.obsp["connectivities"]`` and ``["distances"]`` are the graph of neighbours among the new cells, by scanpy.
        ``.uns["held_out"]`` has the deviance explained of held-out peaks for each ridge.

    Raises
    ------
    InputError
        An input or option cannot be used; nothing is left at `out` and `extend`. A package with both kinds of cells cannot have a
        barcode twice.
    """
    matrices, samples = by_sample(matrix, options.get("samples") or (), "matrices")
    settings = checked_options("embed-cells", EmbedCellsOptions, options | {"samples": samples})
    opened = model if isinstance(model, Model) else open_model(model)
    files = [getattr(each, "filename", None) or each for each in matrices]
    inputs = [opened.package.folder, *files, genome, cells_table, training_matrix, settings.umap_from, *settings.blacklist]
    with contextlib.ExitStack() as stack:
        if out is not None:
            check_suffix(Path(out))
            stack.enter_context(destination(out, overwrite=overwrite, inputs=inputs))
        if extend is not None:
            stack.enter_context(destination(extend, overwrite=overwrite, replaceable=files_of_package, inputs=inputs))
        join = extend is not None and not alone
        if plot is not None:
            require_matplotlib()
            stack.enter_context(figure_folder(Path(plot), overwrite=overwrite, inputs=inputs))
        umap = None if settings.umap_from is None else _read_umap(settings.umap_from, opened)
        result, cells, batches = _embedded(
            opened, matrices, genome, cells_table, training_matrix, settings, umap, join=join, quiet=quiet
        )
        if extend is not None:
            _extend(opened, result, cells, batches, extend, alone=alone, overwrite=overwrite)
        if out is not None:
            write_anndata_file(storable(result), stack.enter_context(new_file(out, overwrite=overwrite)))
        if plot is not None:
            group_by = _group_column(opened, settings.group_by)
            labels = None if group_by is None else opened.cells[group_by]
            with default_style():
                write_figures({"new_cells": draw_new_cells(result, ModelCells(opened.depth, labels, umap))}, Path(plot))
    return result


def _extend(
    model: Model,
    result: ad.AnnData,
    cells: pd.DataFrame,
    batches: NewBatches | None,
    folder: str | os.PathLike[str],
    *,
    alone: bool,
    overwrite: bool,
) -> None:
    """Write a package that has the new cells."""
    made = result.uns["scbasset_zoo"]
    settings = {name: made[name] for name in ("ridge", "n_peaks", "matrix")}
    extend_package(
        model,
        cells,
        result.obsm["X_scbasset"],
        result.obs["depth_intercept"].to_numpy(),
        out=folder,
        method={"name": "logistic regression of the open peaks on the peak embeddings, with the trunk fixed", **settings},
        batches=None if batches is None else batches.known,
        alone=alone,
        overwrite=overwrite,
    )


def _embedded(
    opened: Model,
    matrices: list[MatrixLike],
    genome: GenomeLike,
    cells_table: Any,
    training_matrix: MatrixLike | None,
    options: EmbedCellsOptions,
    reference_umap: NDArray[np.float64] | None,
    *,
    join: bool,
    quiet: bool,
) -> tuple[ad.AnnData, pd.DataFrame, NewBatches | None]:
    """Return the result, the cells with their own columns alone, and their batches if these are given."""
    import anndata as ad

    gauge = opened.require_gauge()
    group_by = _group_column(opened, options.group_by)
    source = open_matrices(matrices, options.samples, modality=options.modality, layer=options.layer)
    if cells_table is not None:
        source = join_cells_table(source, cells_table)
    batches = None if options.batch_key is None else read_batches(opened, source.cells, options.batch_key)
    reference_genome = opened.open_genome(genome, force=options.force)
    labels = read_new_labels(opened, source, reference_genome, options, quiet=quiet)
    _check_barcodes(opened, labels.cells, join=join)
    if batches is not None:
        batches = batches.rows(source.cells.index.get_indexer(labels.cells.index))
    offset = None if batches is None else known_effects(opened, batches)
    held_out = compare_ridges(
        labels.peak_embedding,
        labels.is_open,
        gauge,
        *([(options.ridge,)] if options.ridge else []),
        offset=offset,
        seed=options.seed,
    )
    _say_held_out(held_out)
    ridge = held_out.ridges[held_out.best]
    regression = CellRegression(labels.peak_embedding, gauge)
    with progress("fitting cells", labels.is_open.shape[0], quiet=quiet) as advance:
        fit = regression.fit(labels.is_open, ridge, offset=offset, threads=opened.device.threads, advance=advance)
    embedding, intercept = fit.embedding, fit.intercept
    effects: dict[str, Any] = {}
    if batches is not None and options.unknown_batches == "fit":
        for name in batches.unknown:
            rows = np.flatnonzero(np.array(batches.of_cell) == name)
            of_batch = common_effect(opened, embedding[rows], intercept[rows])
            embedding[rows] -= of_batch[0]
            intercept[rows] -= of_batch[1]
            effects[name] = np.append(*of_batch)
    space = opened.canonical_space
    canonical = space.embedding(embedding)
    nearest, distance = nearest_cells(opened.canonical_embedding, canonical, options.n_neighbours)
    refitted = None
    if training_matrix is None:
        expected = expected_distances(
            opened, regression, labels.peak_embedding, fit.n_open, ridge, options.n_neighbours, options.seed
        )
    else:
        refitted, expected = refit(opened, training_matrix, reference_genome, ridge, options, quiet=quiet)
    columns = {
        "depth": space.depth(embedding, intercept),
        "depth_intercept": intercept,
        "n_open_peaks": fit.n_open,
        "few_open_peaks": fit.n_open < embedding.shape[1] + 1,
        "converged": fit.converged,
        "deviance_explained": fit.deviance_explained,
        "distance_to_model": distance,
        "expected_nearer": np.searchsorted(np.sort(expected), distance, side="left") / len(expected),
    }
    columns["unlike_model"] = columns["expected_nearer"] > UNLIKE
    if group_by is not None:
        columns[f"{group_by}_of_model"], columns[f"{group_by}_confidence"] = transfer_labels(opened.cells[group_by], nearest)
    result = ad.AnnData(obs=_with_columns(labels.cells, columns))
    result.obsm["X_scbasset_canonical"], result.obsm["X_scbasset"] = canonical, embedding
    result.obsm["nearest_cells"] = nearest
    if reference_umap is not None:
        # Not the mean, which lies between clusters for a cell with neighbours in two.
        result.obsm["X_umap"] = np.median(reference_umap[nearest], axis=1)
    if options.graph:
        _add_graph(result, options)
    result.uns["held_out"] = {
        "ridge": np.array(held_out.ridges), "deviance_explained": held_out.deviance_explained, "chosen": ridge,
    }  # fmt: skip
    if effects:
        result.uns["batch_effects"] = effects
    if refitted is not None:
        result.uns["refitted"] = refitted
    result.uns["scbasset_zoo"] = _provenance(opened, source, labels, ridge, options)
    return result, labels.cells, batches


def _add_graph(result: ad.AnnData, options: EmbedCellsOptions) -> None:
    """Add the graph of neighbours among the new cells, as the analysis `embedding` has it for the model's cells."""
    if result.n_obs < _FEWEST_FOR_GRAPH:
        say(f"{result.n_obs:,} new cells are too few for a graph of neighbours; it is left out.")
        return
    prepare_libraries()
    n_neighbours = min(options.n_neighbours, result.n_obs - 1)
    add_neighbours(result, "X_scbasset_canonical", n_neighbours, options.seed, umap=False)


def _with_columns(cells: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return the table of the new cells with the columns of the fit, which replace own columns of the same name."""
    replaced = [name for name in columns if name in cells]
    if replaced:
        say(f"Columns of the new cells are replaced by those of the fit: {', '.join(replaced)}.")
    return cells.drop(columns=replaced).assign(**columns)


def _group_column(model: Model, group_by: str | None) -> str | None:
    """Return the column of the model's cells whose labels are transferred, or None if there is none."""
    if group_by is None:
        return model.card.cells.default_group
    if group_by not in model.cells:
        raise InputError(
            f"{option('group_by', group_by)}: the model's cells have no such column. Columns: "
            f"{', '.join(model.cells.columns) or 'none'}.{did_you_mean(group_by, model.cells.columns)}"
        )
    return group_by


def _read_umap(path: Path, model: Model) -> NDArray[np.float64]:
    """Read the UMAP of the model's cells from a result of `run embedding`, in the order of the model."""
    import anndata as ad

    with readable(str(path)):
        embedded = ad.read_h5ad(path) if path.suffix == ".h5ad" else ad.read_zarr(path)
    if "X_umap" not in embedded.obsm:
        raise InputError(f"{path} has no UMAP (.obsm['X_umap']). Give a result of `scbasset-zoo run embedding` of this model.")
    rows = embedded.obs_names.get_indexer(model.cells.index)
    if (rows < 0).any():
        raise InputError(
            f"{path} lacks {int((rows < 0).sum()):,} of the model's {model.n_cells:,} cells, first "
            f"{model.cells.index[int((rows < 0).argmax())]!r}. Give a result of `scbasset-zoo run embedding` of this model."
        )
    umap: NDArray[np.float64] = np.asarray(embedded.obsm["X_umap"], dtype=np.float64)[rows]
    return umap


def _check_barcodes(model: Model, cells: pd.DataFrame, *, join: bool) -> None:
    """Say which barcodes are those of cells of the model; raise InputError if both are to be in one package."""
    is_shared = cells.index.isin(model.cells.index)
    if not is_shared.any():
        return
    shared = (
        f"{is_shared.sum():,} of {len(cells):,} barcodes are those of cells of the model, first "
        f"{cells.index[int(is_shared.argmax())]!r}."
    )
    remedy = f"name the new cells by their sample, with {option('samples')}"
    if join:
        raise InputError(f"{shared} A package cannot have both: {remedy}, or give {option('alone', True)} for the new cells only.")
    say(f"{shared} If they are not the same cells, {remedy}.")


def _say_held_out(held_out: HeldOut) -> None:
    if held_out.deviance_explained[held_out.best] <= 0:
        say(
            "The model explains nothing of these cells: held-out peaks are predicted no better than by the number of open peaks of "
            "each cell. The embedding means nothing. Are the cells of the model's assembly and tissue?"
        )


def _provenance(model: Model, source: PeakMatrix, labels: NewLabels, ridge: float, options: EmbedCellsOptions) -> dict[str, Any]:
    card = model.card
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "scbasset_zoo_version": __version__,
        "model_id": card.id,
        "model_version": card.version,
        "card_sha256": model.card_sha256,
        "assembly": card.genome.assembly,
        "matrix": source.name,
        "n_peaks": len(labels.peak_embedding),
        "n_input_peaks": labels.n_input_peaks,
        "ridge": ridge,
        "group_by": _group_column(model, options.group_by) or "",
        "options": json.dumps(options.model_dump(mode="json", exclude_defaults=True)),
        "chromosome_names": json.dumps(labels.chromosome_names),
    }
