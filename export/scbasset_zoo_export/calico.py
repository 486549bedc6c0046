"""Imports the published trainer's weights: Keras 2 HDF5 to a model package, without TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from scbasset_zoo.errors import InputError
from scbasset_zoo.extend.about import default_group, defaults, naming, read_about
from scbasset_zoo.extend.importer import Importer
from scbasset_zoo.files import check_destination, holding, sha256
from scbasset_zoo.graph.building import build_trunk, fold_batch_normalisation, with_head
from scbasset_zoo.graph.head import BatchPath
from scbasset_zoo.graph.layers import Block, TrunkLayers
from scbasset_zoo.inputs.assemblies import assembly_sizes
from scbasset_zoo.package.card import UNKNOWN_ASSEMBLY
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.writing import write_package
from scbasset_zoo.progress import say
from scbasset_zoo_export.cell_tables import read_batches, read_cells
from scbasset_zoo_export.keras_weights import Array, read_weights

SEQUENCE_LENGTH = 1344
# Kernel and pool width of each convolution; how many filters it has is read from the weights.
KERNELS_AND_POOLS = ((17, 3), *[(5, 2)] * 6, (1, 1))
GELU_SLOPE = 1.702
_N_LAYERS = {"conv1d": (8,), "batch_normalization": (9,), "dense": (2, 3)}


class CalicoOptions(BaseModel):
    """What comes beside the weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cells: Path | None = Field(None, description="Table of the cells in output order: .csv, .tsv, .parquet, or .obs of .h5ad.")
    batches: Path | None = Field(None, description="Of a batch-corrected model: table of cells x batches, 0 or 1.")
    assembly: str | None = Field(None, description="Assembly of the genome that the model was fitted to, as hg19.")


class Calico(Importer):
    """Import weights that the published scBasset trainer saved (Keras 2, .h5)."""

    name: ClassVar[str] = "calico"
    Options: ClassVar[type[BaseModel]] = CalicoOptions

    def convert(
        self,
        source: Path,
        options: CalicoOptions,
        *,
        out: Path,
        about: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> Package:
        """Make a package of published weights; its predictions are the original's to 1e-5.

        The package of a batch-corrected model predicts without batch effects, and with them, as the original does, when asked:
        ``model.accessibility(sequences, batch_effects=True)``. See :meth:`scbasset_zoo.Importer.convert`.
        """
        check_destination(out, overwrite=overwrite, replaceable=holding("card.yaml"), inputs=[source])
        fields = read_about(about)
        genome = _genome(options.assembly, fields.get("genome", {}))
        weights, keras_version = read_weights(source)
        network = _network(source, weights)
        cells, batches, batch_column = _cells_and_batches(source, network, options)
        card = {
            **defaults(source.stem, "not stated by the weights"),
            "description": f"scBasset of {len(cells):,} cells, assembly {genome['assembly']}.",
            **fields,
            "data": {
                "description": "Not stated by the weights.",
                "license": "NOASSERTION",
                "citation": [{"text": "Not stated by the weights."}],
                **fields.get("data", {}),
            },
            "genome": genome,
            "architecture": {
                "name": "scBasset" if batches is None else "scBasset, batch-corrected",
                "n_parameters": network.n_parameters,
                **({"software": {"keras": keras_version}} if keras_version else {}),
                **fields.get("architecture", {}),
            },
            "cells": {"default_group": default_group(cells.columns), **fields.get("cells", {})},
        }
        card["description"] = f"{card['description']} Converted from {source.name}, SHA-256 {sha256(source)}."
        if options.cells is None:
            card["limits"] = f"{card['limits']} The weights carry no names of cells: they are named by their position."
        if batches is not None:
            given = fields.get("batch_correction", {})
            card["batch_correction"] = {**given, "column": batch_column, "n_batches": len(batches.intercept)}
        model = with_head(build_trunk(network.trunk), *network.cell_head, batches)
        return write_package(out, card=card, model=model, cells=cells, overwrite=overwrite)


@dataclass(frozen=True)
class _Network:
    """What the weights say: heads as (kernel, bias)."""

    trunk: TrunkLayers
    cell_head: tuple[Array, Array]
    batch_head: tuple[Array, Array] | None
    n_parameters: int


def _network(path: Path, weights: dict[str, dict[str, Array]]) -> _Network:
    layers = _layers_in_order(path, weights)
    blocks, channels, length = [], 4, SEQUENCE_LENGTH
    for (width, pool), conv, norm in zip(KERNELS_AND_POOLS, layers["conv1d"], layers["batch_normalization"], strict=False):
        block = Block(*_folded(path, conv, (width, channels, None), norm, weights), pool)
        blocks.append(block)
        channels, length = len(block.bias), block.pooled_length(length)
    bottleneck, *heads = layers["dense"]
    dense = _folded(path, bottleneck, (length * channels, None), layers["batch_normalization"][-1], weights)
    size = len(dense[1])
    kernels = [_taken(path, head, weights, {"kernel": (size, None), "bias": (None,)}) for head in heads]
    for head, (kernel, bias) in zip(heads, kernels, strict=True):
        if kernel.shape[1] != len(bias):
            raise InputError(f"{path}: {head}/kernel has {kernel.shape[1]:,} outputs, {head}/bias {len(bias):,}.")
    return _Network(
        TrunkLayers(SEQUENCE_LENGTH, tuple(blocks), *dense, gelu_slope=GELU_SLOPE),
        (kernels[0][0], kernels[0][1]),
        (kernels[1][0], kernels[1][1]) if len(kernels) > 1 else None,
        sum(a.size for arrays in weights.values() for name, a in arrays.items() if not name.startswith("moving_")),
    )


def _layers_in_order(path: Path, weights: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of the layers of each kind by their number: Keras counts on when several models are made in one process."""
    numbered: dict[str, list[tuple[int, str]]] = {kind: [] for kind in _N_LAYERS}
    for name in weights:
        kind, _, number = name.rpartition("_") if re.search(r"_\d+$", name) else (name, "", "0")
        if kind not in numbered:
            raise InputError(f"{path}: the layer {name!r} is none of the published network ({', '.join(_N_LAYERS)}).")
        numbered[kind].append((int(number), name))
    layers = {kind: [name for _, name in sorted(found)] for kind, found in numbered.items()}
    for kind, names in layers.items():
        if len(names) not in _N_LAYERS[kind]:
            wanted = " or ".join(map(str, _N_LAYERS[kind]))
            raise InputError(f"{path}: expected {wanted} layers {kind}, found {len(names)} ({', '.join(names) or 'none'}).")
    return layers


def _folded(
    path: Path, layer: str, shape: tuple[int | None, ...], norm: str, weights: Mapping[str, Mapping[str, Array]]
) -> tuple[Array, Array]:
    """Kernel and bias of a layer with the batch normalisation after it."""
    (kernel,) = _taken(path, layer, weights, {"kernel": shape})
    statistics = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (kernel.shape[-1],))
    gamma, beta, mean, variance = _taken(path, norm, weights, statistics)
    if (variance < 0).any():
        raise InputError(f"{path}: {norm}/moving_variance is {variance.min():g} at its lowest; a variance is not negative.")
    return fold_batch_normalisation(kernel, gamma, beta, mean, variance)


def _taken(
    path: Path, layer: str, weights: Mapping[str, Mapping[str, Array]], shapes: Mapping[str, tuple[int | None, ...]]
) -> list[Array]:
    """Arrays of a layer, which must be these and of these shapes; None stands for any size."""
    arrays = weights[layer]
    if set(arrays) != set(shapes):
        raise InputError(f"{path}: {layer} has the weights {', '.join(sorted(arrays))}; expected {', '.join(sorted(shapes))}.")
    for name, shape in shapes.items():
        found = arrays[name].shape
        if len(found) != len(shape) or any(want not in (None, have) for want, have in zip(shape, found, strict=True)):
            expected = ", ".join("any" if size is None else str(size) for size in shape)
            raise InputError(f"{path}: {layer}/{name} has shape {found}; expected ({expected}).")
    return [arrays[name] for name in shapes]


def _cells_and_batches(path: Path, network: _Network, options: CalicoOptions) -> tuple[pd.DataFrame, BatchPath | None, str | None]:
    n_cells = len(network.cell_head[1])
    cells = _numbered_cells(n_cells) if options.cells is None else read_cells(options.cells, n_cells)
    if (network.batch_head is None) != (options.batches is None):
        raise InputError(
            f"{path} has no batch path (a third dense layer): import it without --batches."
            if network.batch_head is None
            else f"{path} is batch-corrected, for {len(network.batch_head[1]):,} batches: give --batches TABLE of cells x batches."
        )
    if network.batch_head is None or options.batches is None:
        return cells, None, None
    kernel, bias = network.batch_head
    names, by_cell = read_batches(options.batches, cells.index, len(bias), named=options.cells is not None)
    batch_of_cell = ["+".join(np.array(names)[of_batch > 0]) or "none" for of_batch in by_cell.T]
    return cells, BatchPath(kernel, bias, by_cell), _batch_column(cells, batch_of_cell)


def _batch_column(cells: pd.DataFrame, batch_of_cell: Sequence[str]) -> str:
    """The column of the cells that names their batches; it is added, as "batch", where there is none."""
    for column in cells:
        if cells[column].astype(str).tolist() == batch_of_cell:
            return str(column)
    if "batch" in cells:
        raise InputError("The cells' column 'batch' has other values than the table of batches has names; rename the column.")
    cells["batch"] = batch_of_cell
    return "batch"


def _numbered_cells(n_cells: int) -> pd.DataFrame:
    digits = max(4, len(str(n_cells)))
    return pd.DataFrame(index=pd.Index([f"cell_{number:0{digits}}" for number in range(1, n_cells + 1)], name="barcode"))


def _genome(assembly: str | None, said: Mapping[str, Any]) -> dict[str, Any]:
    name = assembly or said.get("assembly", UNKNOWN_ASSEMBLY)
    if said.get("assembly", name) != name:
        raise InputError(f"--assembly says {name}, what is said about the model {said['assembly']}; they must be the same.")
    if name == UNKNOWN_ASSEMBLY:
        say("The weights do not say of which genome they are, and the card says unknown: better name it, as --assembly hg19.")
    sizes = said.get("chromosome_sizes") or ({} if name == UNKNOWN_ASSEMBLY else assembly_sizes(name))
    return {"naming": naming(sizes), **said, "assembly": name, "chromosome_sizes": sizes}
