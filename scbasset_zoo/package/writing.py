"""Writes a package: everything and verified, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scbasset_zoo import files
from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.inputs import dna
from scbasset_zoo.package import readme, test_vectors
from scbasset_zoo.package.card import REQUIRED_FILES, Card
from scbasset_zoo.package.cells_table import read_cells
from scbasset_zoo.package.derived_fields import with_derived_fields
from scbasset_zoo.package.digests import seal
from scbasset_zoo.package.integrity import files_of_package
from scbasset_zoo.package.normal_table import normal_cells, normal_table
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.tables import write_table
from scbasset_zoo.package.verifying import verify_package

if TYPE_CHECKING:
    import onnx
    import pandas as pd


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
    """Write a complete, verified package. If anything is wrong, write nothing.

    Parameters
    ----------
    folder : path
        Folder of the new package.
    card : mapping
        The fields of the card, as in YAML. Leave out the fields that follow from the model and the tables: `schema_version`,
        `outputs`, `tests`, `files`, counts, order digests, `input` (except its `window`), and the network's embedding size
        and opset. `created` is today unless given. A column of `cells` or `peaks` without a description gets a plain one.
    model : onnx.ModelProto
        The network. Its copy in the package gets `metadata_props`.
    cells : DataFrame of n_cells rows
        Indexed by barcode, in the order of the model's outputs. Columns may have any type of
        :func:`scbasset_zoo.inputs.normal_columns.normal_column`; so may those of the peaks.
    peaks : DataFrame, optional
        The training peaks in order, with `chrom`, `start` (0-based), `end`, and `split` if it is known.
    sequences : sequence of str, optional
        Test sequences of the model's length; random ones by default. One with N is added if none has N.
    rtol, atol : float
        How closely other machines must reproduce the test outputs.
    overwrite : bool
        Replace an existing package in `folder`.

    Raises
    ------
    PackageError
        The card has problems, or the model breaks the contract of a package. The message lists all problems.
    InputError
        Cells or peaks do not fit the model, a package cannot hold a column of them, or `folder` cannot be written.
    """
    from scbasset_zoo.graph.checks import contract_problems
    from scbasset_zoo.graph.head import read_head
    from scbasset_zoo.graph.plain_run import run_each

    files.check_destination(folder, overwrite=overwrite, replaceable=files_of_package)
    cell_embedding, _ = read_head(model)
    n_cells, embedding_size = cell_embedding.shape
    length = _sequence_length(model)
    cells_table, peaks_table = _cells_table(cells, n_cells), _peaks_table(peaks)
    tests = test_vectors.choose_sequences(sequences, length)
    fields = with_derived_fields(card, model, cells_table, peaks_table, sequence_length=length, embedding_size=embedding_size)
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


def write_card(folder: Path, card: Card) -> None:
    """Write README.md and card.yaml beside the other files of a package, with their sizes and hashes, and verify the package.

    Raises
    ------
    PackageError
        The package does not verify.
    """
    (folder / "README.md").write_text(readme.render(card, read_cells(folder)), encoding="utf-8", newline="\n")
    entries = {name: {"bytes": (folder / name).stat().st_size, "sha256": files.sha256(folder / name)} for name in card.files}
    complete = Card.from_fields({**card.model_dump(), "files": entries})
    (folder / "card.yaml").write_bytes(seal(complete.to_yaml()))
    findings = verify_package(folder)
    if findings:
        raise PackageError("\n  ".join(["The package would not verify and was not written:", *map(str, findings)]))


def with_metadata(model: onnx.ModelProto, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Return a copy of a model with these `metadata_props`."""
    from onnx import helper

    copy = type(model)()
    copy.CopyFrom(model)
    helper.set_model_props(copy, dict(metadata))
    return copy


def _cells_table(cells: pd.DataFrame, n_cells: int) -> pd.DataFrame:
    """Check the cells and return them with the barcode as the first column."""
    if len(cells) != n_cells:
        raise InputError(f"The model has {n_cells:,} cells, the table of cells {len(cells):,} rows.")
    table = normal_cells(cells, "The table of cells")
    table.insert(0, "barcode", cells.index.astype(str).to_numpy(dtype=object))
    return table


def _peaks_table(peaks: pd.DataFrame | None) -> pd.DataFrame | None:
    """Check the peaks and return them with a named index as a column."""
    if peaks is None:
        return None
    missing = [column for column in ("chrom", "start", "end") if column not in peaks]
    if missing:
        raise InputError(f"The table of peaks lacks the column {missing[0]!r}.")
    table = peaks.reset_index(drop=peaks.index.name is None or peaks.index.name in peaks.columns)
    return normal_table(table, "The table of peaks")


def _sequence_length(model: onnx.ModelProto) -> int:
    shapes = [list(value.type.tensor_type.shape.dim) for value in model.graph.input if value.name == "sequence"]
    length = shapes[0][1].dim_value if shapes and len(shapes[0]) == 3 else 0
    if length < 1:
        raise PackageError("The input 'sequence' of the model must have shape (N, length, 4) with a fixed length.")
    return int(length)
