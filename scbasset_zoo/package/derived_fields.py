"""Derives the fields of a new card that follow from the network and the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from scbasset_zoo.errors import PackageError
from scbasset_zoo.graph.contract import BATCH_OUTPUT, OUTPUT_NAMES
from scbasset_zoo.inputs import dna
from scbasset_zoo.package import card_versions
from scbasset_zoo.package.digests import order_digest, peak_identifiers

if TYPE_CHECKING:
    import onnx
    import pandas as pd

_OUTPUT_MEANINGS = {
    "accessibility": "probability that the peak is open in each cell, the sigmoid of the logits",
    "logits": "log odds that the peak is open in each cell: peak_embedding times cell_embedding, plus cell_intercept",
    "peak_embedding": "the sequence in the latent space that it shares with the cell embedding",
    BATCH_OUTPUT: "the logits with the batch path added: what the model was fitted with",
}
_PEAK_COLUMN_MEANINGS = {
    "chrom": "chromosome",
    "start": "first base of the peak, counted from 0",
    "end": "base after the last of the peak, counted from 0",
    "split": "train, validation or test",
}


def with_derived_fields(
    card: Mapping[str, Any],
    model: onnx.ModelProto,
    cells: pd.DataFrame,
    peaks: pd.DataFrame | None,
    *,
    sequence_length: int,
    embedding_size: int,
) -> dict[str, Any]:
    """Return the fields of a card, without `tests` and `files`: those given, and those that follow from model and tables.

    Parameters
    ----------
    card : mapping
        The fields that the author of the model gives.
    model : onnx.ModelProto
    cells : DataFrame
        The table to be written as cells.parquet: first `barcode`, then annotation.
    peaks : DataFrame, optional
        The table to be written as peaks.parquet.
    sequence_length, embedding_size : int

    Raises
    ------
    PackageError
        `card` has `tests` or `files`.
    """
    for name in ("tests", "files"):
        if name in card:
            raise PackageError(f"The card's {name!r} is made when the package is written; leave it out.")
    fields: dict[str, Any] = {
        "created": date.today(),
        **card,
        "schema_version": card_versions.CURRENT,
        "input": _input(card.get("input", {}), sequence_length),
        "outputs": _outputs(model),
        "architecture": _architecture(card.get("architecture", {}), model, embedding_size),
        "cells": _cells(card.get("cells", {}), cells),
    }
    if peaks is not None:
        fields["peaks"] = _peaks(card.get("peaks", {}), peaks)
    return fields


def _input(section: Mapping[str, Any], length: int) -> dict[str, Any]:
    window = f"{length:,} bp from (start + end) // 2 - {length // 2} of a peak; bases beyond a chromosome's end are N"
    contract = {"name": "sequence", "length": length, "alphabet": dna.ALPHABET, "n_policy": "0.25 in each channel"}
    return {"window": window, **section, **contract}


def _outputs(model: onnx.ModelProto) -> list[dict[str, str]]:
    has_batches = any(output.name == BATCH_OUTPUT for output in model.graph.output)
    names = (*OUTPUT_NAMES, BATCH_OUTPUT) if has_batches else OUTPUT_NAMES
    return [{"name": name, "meaning": _OUTPUT_MEANINGS[name]} for name in names]


def _architecture(section: Mapping[str, Any], model: onnx.ModelProto, embedding_size: int) -> dict[str, Any]:
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return {"producer": producer, **section, "embedding_size": embedding_size, "opset": opset}


def _cells(section: Mapping[str, Any], cells: pd.DataFrame) -> dict[str, Any]:
    columns = _described(cells.columns[1:], section, {}, "cells' annotation (.obs)")
    return {**section, "n_cells": len(cells), "order_sha256": order_digest(cells["barcode"]), "columns": columns}


def _peaks(section: Mapping[str, Any], peaks: pd.DataFrame) -> dict[str, Any]:
    columns = _described(peaks.columns, section, _PEAK_COLUMN_MEANINGS, "peaks' annotation (.var)")
    return {**section, "n_peaks": len(peaks), "order_sha256": order_digest(peak_identifiers(peaks)), "columns": columns}


def _described(columns: Iterable[str], section: Mapping[str, Any], meanings: Mapping[str, str], origin: str) -> dict[str, str]:
    """Return the meaning of each column: the author's, or that in `meanings`, or a plain one."""
    given = section.get("columns", {})
    plain = {name: meanings.get(name, f"the column {name} of the training {origin}") for name in columns}
    return plain | dict(given)
