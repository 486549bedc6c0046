"""Writes a complete, verified package, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scbasset_zoo import files
from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.graph.contract import BATCH_OUTPUT, OUTPUT_NAMES
from scbasset_zoo.inputs import dna
from scbasset_zoo.package import readme, test_vectors
from scbasset_zoo.package.annotation import peak_identifiers, read_cells
from scbasset_zoo.package.card import REQUIRED_FILES, SCHEMA_VERSION, Card
from scbasset_zoo.package.digests import order_digest, seal
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.tables import write_table
from scbasset_zoo.package.verifying import verify_package

if TYPE_CHECKING:
    import onnx
    import pandas as pd


_MEANINGS = {
    "accessibility": "probability that the peak is open in each cell, the sigmoid of the logits",
    "logits": "log odds that the peak is open in each cell: peak_embedding times cell_embedding, plus cell_intercept",
    "peak_embedding": "the sequence in the latent space that it shares with the cell embedding",
    BATCH_OUTPUT: "the logits with the batch path added: what the model was fitted with",
}


_PEAK_COLUMNS = {
    "chrom": "chromosome",
    "start": "first base of the peak, counted from 0",
    "end": "base after the last of the peak, counted from 0",
    "split": "train, validation or test",
}


def write_package(
    folder: str | Path,
    *,
    card: Mapping[str, Any],
    model: onnx.ModelProto,
    cells: pd.DataFrame,
    peaks: pd.DataFrame | None = None,
    sequences: Sequence[str] | None = None,
    rtol: float = 1e-3,
    atol: float = 1e-4,
    overwrite: bool = False,
) -> Package:
    """Write a complete, verified package, or nothing.

    Parameters
    ----------
    folder : path
        The package's folder.
    card : mapping
        The card's fields as in YAML, without what is derived here: `schema_version`, `outputs`, `tests`, `files`, counts,
        order digests, `input` (but for its `window`), the network's size and opset, and `created` unless given. Columns of
        `cells` and `peaks` that are given no meaning get a plain one.
    model : onnx.ModelProto
        The network; `metadata_props` are added.
    cells : DataFrame of n_cells rows
        Indexed by barcode, in the model's order.
    peaks : DataFrame, optional
        The training peaks in order: `chrom`, `start` (0-based), `end`, and `split` where known.
    sequences : sequence of str, optional
        Test sequences of the model's length; random ones if none are given. One with N is added where there is none.
    rtol, atol : float
        How closely other machines must reproduce the test outputs.
    overwrite : bool
        Replace `folder`.

    Raises
    ------
    PackageError
        The card has problems, or the model is not what a package's model must be; all of them are listed.
    InputError
        Cells or peaks do not fit the model, or `folder` cannot be written.
    """
    from scbasset_zoo.graph.checks import contract_problems
    from scbasset_zoo.graph.head import read_head
    from scbasset_zoo.graph.plain_run import run_each

    files.check_destination(folder, overwrite=overwrite, replaceable=files.holding("card.yaml"))
    embedding, _ = read_head(model)
    cells_table, peaks_table = _cells_table(cells, len(embedding)), _peaks_table(peaks)
    length = _sequence_length(model)
    tests = test_vectors.choose_sequences(sequences, length)
    fields = _fields(card, model, embedding.shape[1], cells_table, peaks_table, length)
    fields["tests"] = {"n_sequences": len(tests), "rtol": float(rtol), "atol": float(atol)}
    names = [*REQUIRED_FILES, *(["peaks.parquet"] if peaks is not None else [])]
    draft = Card.from_fields({**fields, "files": {name: {"bytes": 0, "sha256": "0" * 64} for name in names}})
    model = with_metadata(model, draft.contract.metadata)
    problems = contract_problems(model, draft.contract)
    if problems:
        raise PackageError("\n  ".join(["The model cannot be packaged; model.onnx", *problems]))
    with files.new_folder(folder, overwrite=overwrite) as partial:
        raw = model.SerializeToString()
        (partial / "model.onnx").write_bytes(raw)
        write_table(cells_table, partial / "cells.parquet")
        if peaks_table is not None:
            write_table(peaks_table, partial / "peaks.parquet")
        test_vectors.write_vectors(partial, tests, run_each(raw, dna.one_hot(dna.as_codes(tests))))
        write_card(partial, draft)
    return Package.open(folder)


def write_card(partial: Path, card: Card) -> None:
    """README.md and card.yaml for the other files in `partial`, which must then verify."""
    (partial / "README.md").write_text(readme.render(card, read_cells(partial)), encoding="utf-8", newline="\n")
    entries = {name: {"bytes": (partial / name).stat().st_size, "sha256": files.sha256(partial / name)} for name in card.files}
    complete = Card.from_fields({**card.model_dump(), "files": entries})
    (partial / "card.yaml").write_bytes(seal(complete.to_yaml()))
    findings = verify_package(partial)
    if findings:
        raise PackageError("\n  ".join(["The package would not verify and was not written:", *map(str, findings)]))


def _cells_table(cells: pd.DataFrame, n_cells: int) -> pd.DataFrame:
    if len(cells) != n_cells:
        raise InputError(f"The model has {n_cells:,} cells, the table of cells {len(cells):,} rows.")
    if not cells.index.is_unique:
        raise InputError(
            f"The barcode {cells.index[cells.index.duplicated()][0]!r} appears more than once; barcodes must be unique."
        )
    if "barcode" in cells and (cells["barcode"].astype(str) != cells.index.astype(str)).any():
        raise InputError("The cells' column 'barcode' differs from their index, which names them; rename the column.")
    table = cells.drop(columns="barcode", errors="ignore")
    table.columns = table.columns.astype(str)
    table.insert(0, "barcode", cells.index.astype(str).to_numpy(dtype=object))
    return table


def _peaks_table(peaks: pd.DataFrame | None) -> pd.DataFrame | None:
    if peaks is None:
        return None
    missing = [column for column in ("chrom", "start", "end") if column not in peaks]
    if missing:
        raise InputError(f"The table of peaks lacks the column {missing[0]!r}.")
    table = peaks.reset_index(drop=peaks.index.name is None or peaks.index.name in peaks.columns)
    table.columns = table.columns.astype(str)
    return table


def _sequence_length(model: onnx.ModelProto) -> int:
    shapes = [list(value.type.tensor_type.shape.dim) for value in model.graph.input if value.name == "sequence"]
    length = shapes[0][1].dim_value if shapes and len(shapes[0]) == 3 else 0
    if length < 1:
        raise PackageError("The model's input 'sequence' must have shape (N, length, 4) with a fixed length.")
    return length


def with_metadata(model: onnx.ModelProto, metadata: Mapping[str, str]) -> onnx.ModelProto:
    from onnx import helper

    labelled = type(model)()
    labelled.CopyFrom(model)
    helper.set_model_props(labelled, dict(metadata))
    return labelled


def _fields(
    card: Mapping[str, Any],
    model: onnx.ModelProto,
    embedding_size: int,
    cells: pd.DataFrame,
    peaks: pd.DataFrame | None,
    length: int,
) -> dict[str, Any]:
    """The card's fields but `tests` and `files`: what was given, and what the model and tables say themselves."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    fields: dict[str, Any] = {"created": date.today(), **card}
    for name in ("tests", "files"):
        if name in fields:
            raise PackageError(f"The card's {name!r} is made when the package is written; leave it out.")
    fields["schema_version"] = SCHEMA_VERSION
    has_batches = any(output.name == BATCH_OUTPUT for output in model.graph.output)
    outputs = (*OUTPUT_NAMES, BATCH_OUTPUT) if has_batches else OUTPUT_NAMES
    fields["outputs"] = [{"name": name, "meaning": _MEANINGS[name]} for name in outputs]
    fields["input"] = {
        "window": f"{length:,} bp from (start + end) // 2 - {length // 2} of a peak; bases beyond a chromosome's end are N",
        **card.get("input", {}),
        "name": "sequence",
        "length": length,
        "alphabet": dna.ALPHABET,
        "n_policy": "0.25 in each channel",
    }
    fields["architecture"] = {
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        **card.get("architecture", {}),
        "embedding_size": embedding_size,
        "opset": opset,
    }
    fields["cells"] = {
        **card.get("cells", {}),
        "n_cells": len(cells),
        "order_sha256": order_digest(cells["barcode"]),
        "columns": _columns(cells.columns[1:], card.get("cells", {}), {}, "cells' annotation (.obs)"),
    }
    if peaks is not None:
        fields["peaks"] = {
            **card.get("peaks", {}),
            "n_peaks": len(peaks),
            "order_sha256": order_digest(peak_identifiers(peaks)),
            "columns": _columns(peaks.columns, card.get("peaks", {}), _PEAK_COLUMNS, "peaks' annotation (.var)"),
        }
    return fields


def _columns(names: Any, section: Mapping[str, Any], known: Mapping[str, str], origin: str) -> dict[str, str]:
    given = section.get("columns", {})
    return {name: given.get(name, known.get(name, f"the column {name} of the training {origin}")) for name in names} | {
        name: meaning for name, meaning in given.items() if name not in names
    }
