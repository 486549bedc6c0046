"""Writes a package of a fitted model with new cells: the trunk and the gauge as they are, and a head that has the new cells."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import destination
from scbasset_zoo.graph.gauge import read_gauge, with_gauge
from scbasset_zoo.graph.head import BatchPath, read_batch_path
from scbasset_zoo.graph.model_building import with_head
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.new_cells.batches_of_new_cells import batches_of_new_cells, with_batch_column
from scbasset_zoo.new_cells.extended_card import EMBEDDED, ORIGIN, TRAINED, extended_card, says_origin
from scbasset_zoo.package.integrity import files_of_package
from scbasset_zoo.package.normal_table import normal_cells
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.test_vectors import read_sequences
from scbasset_zoo.package.writing import write_package
from scbasset_zoo.version import __version__
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    import onnx

    from scbasset_zoo.runtime.sequence_model import SequenceModel

Array = NDArray[np.float32]
_SHOWN = 5


def extend_package(
    model: SequenceModel,
    cells: pd.DataFrame,
    cell_embedding: Array,
    cell_intercept: Array,
    *,
    out: str | os.PathLike[str],
    method: Mapping[str, Any],
    batches: Sequence[str | None] | None = None,
    alone: bool = False,
    id: str | None = None,
    version: str | None = None,
    overwrite: bool = False,
) -> Package:
    """Write a package that has a model's own cells and then new ones.

    The trunk and the gauge are those of the model. So the predictions of its own cells, their depth and the distances between
    them stay. The axes of the canonical embedding are those of all cells, so they turn.

    Parameters
    ----------
    model : Model
    cells : DataFrame of n_new rows
        The new cells, indexed by barcode. Their columns join those of the model's cells; a column that one side lacks has missing
        values there. The column `origin` (trained or embedded) is added, unless there is a column of that name.
    cell_embedding : float32 array of shape (n_new, embedding_size)
        In the published space of the model.
    cell_intercept : float32 array of shape (n_new,)
    out : path
        Folder of the new package.
    method : mapping
        How the weights of the new cells were found: `name` in words, and settings by name, which are numbers or texts.
    batches : sequence of n_new names, optional
        The batch of each new cell, for a batch-corrected model: one of the model's batches, or None for another one. The output
        `batch_logits` has the effect of this batch, or none.
    alone : bool
        Leave out the model's own cells. A batch path is left out too, unless new cells are of its batches.
    id, version : str, optional
        By default the model's id with "-extended" and 0.1.0. Where the id stays, the next minor version.
    overwrite : bool
        Replace a package that is in `out`.

    Returns
    -------
    Package

    Raises
    ------
    InputError
        Barcodes are repeated, or are those of cells of the model. Arrays have other shapes, or values that are not finite. A
        batch is none of the model's, or is not that of the cell's column. `out` exists, or is the model's package.
    PackageError
        The model's package has changed, or the new one would not verify. Nothing is written.
    """
    out = Path(out)
    parent = model.package
    with destination(out, overwrite=overwrite, replaceable=files_of_package, inputs=[parent.folder]):
        new = normal_cells(_named_once(cells), "The new cells")
        old = None if alone else model.cells
        _check_weights(new, cell_embedding, cell_intercept, model.cell_embedding.shape[1])
        if old is not None:
            _refuse_cells_of_the_model(new, old, parent)
        by_new_cell = batches_of_new_cells(model, new.index, batches)
        if by_new_cell is not None:
            new = with_batch_column(model, new, by_new_cell)
        table = _joined(old, new, is_added=says_origin(parent.card))
        network = _network(model, cell_embedding, cell_intercept, by_new_cell, alone=alone)
        card = extended_card(
            parent,
            table,
            n_new_cells=len(new),
            has_batches=read_batch_path(network) is not None,
            method=method,
            id=id,
            version=version,
        )
        return write_package(
            out,
            card=card,
            model=network,
            cells=table,
            peaks=parent.peaks(),
            sequences=[dna.decode(codes) for codes in read_sequences(parent.folder, parent.card)],
            rtol=parent.card.tests.rtol,
            atol=parent.card.tests.atol,
            overwrite=overwrite,
        )


def _network(
    model: SequenceModel, cell_embedding: Array, cell_intercept: Array, by_new_cell: Array | None, *, alone: bool
) -> onnx.ModelProto:
    """Return model.onnx of the new package: the trunk and the gauge of the model, and the head of all cells."""
    parent = model.package.network()
    trunk, gauge = extract_trunk(parent), read_gauge(parent)
    del parent  # its head may be large
    if gauge is not None:
        trunk = with_gauge(trunk, gauge)
    trunk.producer_name, trunk.producer_version = "scbasset_zoo", __version__
    n_old = 0 if alone else model.n_cells
    n_cells = n_old + len(cell_intercept)
    embedding = np.empty((cell_embedding.shape[1], n_cells), dtype=np.float32)
    intercept = np.empty(n_cells, dtype=np.float32)
    if n_old:
        embedding[:, :n_old], intercept[:n_old] = model.cell_embedding.T, model.cell_intercept
    embedding[:, n_old:], intercept[n_old:] = cell_embedding.T, cell_intercept
    path = model.batches
    if path is not None:
        n_batches = len(path.intercept)
        by_cell = np.zeros((n_batches, n_cells), dtype=np.float32)
        if n_old:
            by_cell[:, :n_old] = path.by_cell
        if by_new_cell is not None:
            by_cell[:, n_old:] = by_new_cell
        # Without a cell in a batch, nothing would name the batches, and none would have an effect.
        path = BatchPath(path.embedding, path.intercept, by_cell) if by_cell.any() else None
    return with_head(trunk, embedding, intercept, path)


def _joined(old: pd.DataFrame | None, new: pd.DataFrame, *, is_added: bool) -> pd.DataFrame:
    """Return the annotation of all cells.

    Parameters
    ----------
    old, new : DataFrame
        The cells of the model, None to leave them out, and the new cells, in normal form.
    is_added : bool
        Whether the column `origin` of the model's cells was added by this module.
    """
    if ORIGIN not in new and (old is None or ORIGIN not in old or is_added):
        new = new.assign(**{ORIGIN: EMBEDDED})
        if old is not None and ORIGIN not in old:
            old = old.assign(**{ORIGIN: TRAINED})
    if old is None:
        return new
    parts = [_may_be_missing(part, set(part.columns).difference(other.columns)) for part, other in ((old, new), (new, old))]
    table = pd.concat(parts)
    table.index = pd.Index([*old.index.astype(str), *new.index.astype(str)], name="barcode", dtype=object)
    return table


def _may_be_missing(table: pd.DataFrame, columns: set[str]) -> pd.DataFrame:
    """Return a table whose columns of whole numbers and booleans can have missing values without becoming real numbers."""
    types = {name: table[name].convert_dtypes().dtype for name in columns if table[name].dtype.kind in "biu"}
    return table.astype(types)


def _named_once(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the new cells, or raise InputError if barcodes are repeated or there are none."""
    if not len(cells):
        raise InputError("The table of the new cells has no rows, so there is nothing to add.")
    repeated = cells.index[cells.index.duplicated()].unique()
    if len(repeated):
        raise InputError(
            f"{len(repeated):,} barcodes of the new cells appear more than once: {_shown(repeated)}. Give each cell a name of its "
            "own, such as with the name of its sample before it, or leave the copies out."
        )
    return cells


def _refuse_cells_of_the_model(new: pd.DataFrame, old: pd.DataFrame, parent: Package) -> None:
    # As texts, as the package holds them.
    shared = pd.Index(new.index.astype(str))
    shared = shared[shared.isin(old.index)]
    if len(shared):
        raise InputError(
            f"{len(shared):,} of the {len(new):,} new cells have barcodes that {parent.card.id} {parent.card.version} has already: "
            f"{_shown(shared)}. If they are other cells, rename them, such as with the name of their sample before the barcode. If "
            f"they are the same cells, leave them out, or leave out those of the model with {option('alone', True)}."
        )


def _shown(names: pd.Index) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name) for name in names[:_SHOWN]) + more


def _check_weights(cells: pd.DataFrame, embedding: Array, intercept: Array, size: int) -> None:
    """Raise InputError unless the weights have the right shapes and are finite as float32."""
    for name, values, shape in (("cell_embedding", embedding, (len(cells), size)), ("cell_intercept", intercept, (len(cells),))):
        if np.shape(values) != shape:
            raise InputError(f"{name} must have shape {shape} for {len(cells):,} new cells; found {np.shape(values)}.")
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(values.astype(np.float32, copy=False)).reshape(len(cells), -1).all(axis=1)
        if not is_finite.all():
            first = int(np.flatnonzero(~is_finite)[0])
            raise InputError(
                f"{name} of {int((~is_finite).sum()):,} new cells is not finite; the first is {cells.index[first]!r} (row {first}, "
                "counting from 0). Leave them out."
            )
