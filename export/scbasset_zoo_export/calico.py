"""The importer of weights that the published trainer saved: Keras 2 HDF5 to a model package, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from scbasset_zoo.errors import InputError
from scbasset_zoo.extend.about import chromosome_naming, default_card_fields, default_group_column, read_about
from scbasset_zoo.extend.importer import Importer
from scbasset_zoo.files import destination, sha256
from scbasset_zoo.graph.gauge import gauge_of, with_gauge
from scbasset_zoo.graph.head import BatchPath
from scbasset_zoo.graph.model_building import build_trunk, with_head
from scbasset_zoo.inputs.assemblies import assembly_sizes, same_assembly
from scbasset_zoo.inputs.windows import Windows, peak_windows
from scbasset_zoo.options import Options
from scbasset_zoo.package.card import UNKNOWN_ASSEMBLY
from scbasset_zoo.package.integrity import files_of_package
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.writing import write_package
from scbasset_zoo.progress import say
from scbasset_zoo.wording import option
from scbasset_zoo_export.calico_network import SEQUENCE_LENGTH, PublishedNetwork, read_network
from scbasset_zoo_export.cell_tables import read_batches, read_cells
from scbasset_zoo_export.peak_embeddings import PeakEmbedder

_NOT_STATED = "Not stated by the weights."


class CalicoOptions(Options):
    """What the user knows and the weights do not say."""

    cells: Path | None = Field(None, description="Table of the cells in output order: .csv, .tsv, .parquet, or .obs of .h5ad.")
    batches: Path | None = Field(None, description="Table of cells x batches, 0 or 1, for a batch-corrected model.")
    assembly: str | None = Field(None, description="Assembly of the genome that the model was fitted to, such as hg19.")
    peaks: Path | None = Field(None, description="BED file of the training peaks, from which the gauge is computed.")
    genome: Path | None = Field(None, description="Genome of the assembly, for the peaks: FASTA, .2bit, or a name such as hg38.")


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
        """Make a package of published weights; it predicts what the original predicts, to 1e-5.

        The original prediction of a batch-corrected model includes the batch effects. The package predicts without them by
        default, and with them by ``model.accessibility(sequences, batch_effects=True)``. See
        :meth:`scbasset_zoo.Importer.convert`.
        """
        inputs = [source, options.cells, options.batches, options.peaks, options.genome]
        with destination(out, overwrite=overwrite, replaceable=files_of_package, inputs=inputs):
            return self._convert(source, options, out, about, overwrite)

    def _convert(
        self, source: Path, options: CalicoOptions, out: Path, about: Mapping[str, Any] | None, overwrite: bool
    ) -> Package:
        fields = read_about(about)
        genome = _genome(options.assembly, fields.get("genome", {}))
        network = read_network(source)
        cells = _numbered_cells(network.n_cells) if options.cells is None else read_cells(options.cells, network.n_cells)
        batches, batch_of_cell = _batches(source, network, options, cells)
        card = _card(source, network, cells, genome, fields)
        if options.cells is None:
            card["limits"] = f"{card['limits']} The weights have no names of cells, so the cells are named by their position."
        if batches is not None:
            column = _batch_column(cells, batch_of_cell)
            given = fields.get("batch_correction", {})
            card["batch_correction"] = {**given, "column": column, "n_batches": len(batches.intercept)}
        model = with_head(build_trunk(network.trunk), *network.cell_head, batches)
        if (windows := _windows(options, genome)) is not None:
            embedded = PeakEmbedder(model).embed(len(windows), windows.read, "training peaks")
            model = with_gauge(model, gauge_of(embedded))
            card["gauge"] = {"n_peaks": len(windows), "peaks": "peaks that were given at import"}
        return write_package(out, card=card, model=model, cells=cells, overwrite=overwrite)


def _card(
    source: Path, network: PublishedNetwork, cells: pd.DataFrame, genome: dict[str, Any], fields: dict[str, Any]
) -> dict[str, Any]:
    """Return the fields of the card: defaults, what the weights say, and what the user gives."""
    description = fields.get("description", f"scBasset of {len(cells):,} cells, assembly {genome['assembly']}.")
    data = {"description": _NOT_STATED, "license": "NOASSERTION", "citation": [{"text": _NOT_STATED}]}
    architecture: dict[str, Any] = {
        "name": "scBasset" if network.batch_head is None else "scBasset, batch-corrected",
        "n_parameters": network.n_parameters,
    }
    if network.keras_version:
        architecture["software"] = {"keras": network.keras_version}
    return {
        **default_card_fields(source.stem, "not stated by the weights"),
        **fields,
        "description": f"{description} Converted from {source.name}, SHA-256 {sha256(source)}.",
        "data": {**data, **fields.get("data", {})},
        "genome": genome,
        "architecture": {**architecture, **fields.get("architecture", {})},
        "cells": {"default_group": default_group_column(cells.columns), **fields.get("cells", {})},
    }


def _genome(assembly: str | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card's genome: the assembly of the options or of the user's fields, and its chromosomes."""
    name = assembly or fields.get("assembly", UNKNOWN_ASSEMBLY)
    if not same_assembly(fields.get("assembly", name), name):
        raise InputError(
            f"{option('assembly', name)}, but genome.assembly in {option('about')} is {fields['assembly']}; they must be the same."
        )
    if name == UNKNOWN_ASSEMBLY:
        say(f"The weights do not say which genome they were fitted to. Better name it, such as {option('assembly', 'hg19')}.")
    sizes = fields.get("chromosome_sizes") or ({} if name == UNKNOWN_ASSEMBLY else assembly_sizes(name))
    return {"naming": chromosome_naming(sizes), **fields, "assembly": name, "chromosome_sizes": sizes}


def _windows(options: CalicoOptions, genome: Mapping[str, Any]) -> Windows | None:
    """Return the windows of the training peaks; None, with a line that says what is missing for it, if no peaks are given."""
    if (options.peaks is None) != (options.genome is None):
        given, missing = ("peaks", "genome") if options.genome is None else ("genome", "peaks")
        raise InputError(f"{option(given)} was given without {option(missing)}; the gauge needs both.")
    if options.peaks is None or options.genome is None:
        say(
            "The package has no gauge, so its depth and its canonical embedding cannot be computed. With the training peaks and "
            f"their genome ({option('peaks')} and {option('genome')}) it has one; scbasset-zoo add-gauge can add it later."
        )
        return None
    sizes = genome["chromosome_sizes"]
    return peak_windows(options.peaks, options.genome, SEQUENCE_LENGTH, assembly=genome["assembly"], chromosome_sizes=sizes)


def _batches(
    source: Path, network: PublishedNetwork, options: CalicoOptions, cells: pd.DataFrame
) -> tuple[BatchPath | None, list[str]]:
    """Return the batch path, and the name of each cell's batch."""
    if network.batch_head is None:
        if options.batches is not None:
            raise InputError(f"{source} has no batch path (a third dense layer): import it without {option('batches')}.")
        return None, []
    kernel, bias = network.batch_head
    if options.batches is None:
        raise InputError(f"{source} is batch-corrected, for {len(bias):,} batches: give a table of them with {option('batches')}.")
    names, by_cell = read_batches(options.batches, cells.index, len(bias), named=options.cells is not None)
    batch_of_cell = ["+".join(np.array(names)[of_batch > 0]) or "none" for of_batch in by_cell.T]
    return BatchPath(kernel, bias, by_cell), batch_of_cell


def _batch_column(cells: pd.DataFrame, batch_of_cell: Sequence[str]) -> str:
    """Return the column of the cells that names their batches; add a column "batch" if there is none."""
    for column in cells:
        if cells[column].astype(str).tolist() == batch_of_cell:
            return str(column)
    if "batch" in cells:
        raise InputError("The cells have a column 'batch' whose values differ from the table of batches; rename the column.")
    cells["batch"] = batch_of_cell
    return "batch"


def _numbered_cells(n_cells: int) -> pd.DataFrame:
    digits = max(4, len(str(n_cells)))
    return pd.DataFrame(index=pd.Index([f"cell_{number:0{digits}}" for number in range(1, n_cells + 1)], name="barcode"))
