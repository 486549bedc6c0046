"""A model on disk: open, write, seal and verify a package; it is whole or absent, and nothing in it is ever executed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo import dna, files, readme, vectors
from scbasset_zoo.card import (
    BATCH_OUTPUT,
    MAX_BYTES,
    OUTPUT_NAMES,
    REQUIRED_FILES,
    SCHEMA_VERSION,
    Card,
    order_digest,
    seal,
    unseal,
)
from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.tables import read_table, write_table

if TYPE_CHECKING:
    import onnx
    import pandas as pd

    from scbasset_zoo import onnx_model

_AGAIN = "Fetch or export the package again."
SPLITS = ("train", "validation", "test")
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


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a package."""

    file: str
    problem: str

    def __str__(self) -> str:
        # Names come from the package: nothing in them may reach a terminal as a command.
        return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in f"{self.file}: {self.problem}")


@dataclass(frozen=True)
class Package:
    """A model package in a local folder."""

    folder: Path
    card: Card
    card_sha256: str

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """Read the card and check that every file is there with its size; other files' hashes are left to :meth:`verify`.

        Raises
        ------
        PackageError
            No package, a card with problems or a wrong digest, or files that are missing or of the wrong size.
        """
        folder = Path(folder)
        raw = _card_bytes(folder)
        text, broken = unseal(raw)
        card = _parse_card(folder, text)
        if broken:
            raise PackageError(f"{folder / 'card.yaml'}: {broken}.")
        wrong = list(_wrong_files(folder, card))
        if wrong:
            raise PackageError("\n  ".join([f"{folder} is not complete:", *map(str, wrong), _AGAIN]))
        return cls(folder, card, hashlib.sha256(raw).hexdigest())

    def model_bytes(self) -> bytes:
        """The bytes of model.onnx, which must be those that the card names."""
        return self._bytes("model.onnx")

    def cells(self) -> pd.DataFrame:
        """The model's cells in output order, indexed by barcode."""
        cells = _cells(self._bytes("cells.parquet"), self.folder / "cells.parquet")
        if order_digest(cells.index) != self.card.cells.order_sha256:
            raise PackageError(f"{self.folder / 'cells.parquet'}: the cells or their order are not those of the card. {_AGAIN}")
        return cells

    def peaks(self) -> pd.DataFrame | None:
        """The training peaks in order: `chrom`, `start` (0-based), `end`, `split`; None where the package has none."""
        return read_table(self._bytes("peaks.parquet"), self.folder / "peaks.parquet") if self.card.peaks else None

    def verify(self) -> list[Finding]:
        """Everything that is wrong with the package on disk; see :func:`verify_package`."""
        return verify_package(self.folder)

    def _bytes(self, name: str) -> bytes:
        raw = (self.folder / name).read_bytes()
        if hashlib.sha256(raw).hexdigest() != self.card.files[name].sha256:
            raise PackageError(f"{self.folder / name} is not the file that the card names (its SHA-256 differs). {_AGAIN}")
        return raw


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
    from scbasset_zoo import onnx_model

    files.check_destination(folder, overwrite=overwrite, replaceable=files.holding("card.yaml"))
    embedding, _ = onnx_model.head(model)
    cells_table, peaks_table = _cells_table(cells, len(embedding)), _peaks_table(peaks)
    length = _sequence_length(model)
    tests = vectors.choose_sequences(sequences, length)
    fields = _fields(card, model, embedding.shape[1], cells_table, peaks_table, length)
    fields["tests"] = {"n_sequences": len(tests), "rtol": float(rtol), "atol": float(atol)}
    names = [*REQUIRED_FILES, *(["peaks.parquet"] if peaks is not None else [])]
    draft = Card.from_fields({**fields, "files": {name: {"bytes": 0, "sha256": "0" * 64} for name in names}})
    model = _labelled(model, onnx_model.metadata(draft))
    problems = onnx_model.problems(model, draft)
    if problems:
        raise PackageError("\n  ".join(["The model cannot be packaged; model.onnx", *problems]))
    with files.new_folder(folder, overwrite=overwrite) as partial:
        raw = model.SerializeToString()
        (partial / "model.onnx").write_bytes(raw)
        write_table(cells_table, partial / "cells.parquet")
        if peaks_table is not None:
            write_table(peaks_table, partial / "peaks.parquet")
        vectors.write_vectors(partial, tests, onnx_model.run_each(raw, dna.one_hot(dna.as_codes(tests))))
        _write_card(partial, draft)
    return Package.open(folder)


def seal_package(folder: str | os.PathLike[str]) -> Package:
    """Make a package whole again after its card.yaml was edited on purpose, or change nothing.

    README.md is rendered anew, `metadata_props` of model.onnx follow the card, and hashes and the card's digest are renewed.
    The other files must be those that the card names: a changed network, table or test vector needs a new export.

    Raises
    ------
    PackageError
        The edited card has problems, other files were changed, or the package would not verify: everything is listed.
    """
    from scbasset_zoo import onnx_model

    folder = Path(folder).absolute()
    card = _parse_card(folder, unseal(_card_bytes(folder))[0])
    findings = [
        finding for finding in (*_file_findings(folder, card), *_unexpected_files(folder, card)) if finding.file != "README.md"
    ]
    if findings:
        raise PackageError("\n  ".join([f"{folder} was not sealed; only its card may have been edited:", *map(str, findings)]))
    model = onnx_model.parse((folder / "model.onnx").read_bytes())
    with files.new_folder(folder, overwrite=True) as partial:
        for name in card.files:
            if name not in ("README.md", "model.onnx"):
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, partial / name)
        (partial / "model.onnx").write_bytes(_labelled(model, onnx_model.metadata(card)).SerializeToString())
        _write_card(partial, card)
    return Package.open(folder)


def verify_package(folder: str | Path) -> list[Finding]:
    """Check everything a package promises, and return all findings; an empty list means that all is well.

    Sizes and hashes, missing and unexpected files, counts and order digests, the ONNX graph, and the test vectors, which
    plain ONNX Runtime must reproduce on the CPU. The test vectors are run only where model.onnx is the card's and sound.

    Raises
    ------
    PackageError
        `folder` holds no card.yaml.
    DeviceError
        No ONNX Runtime is installed.
    """
    folder = Path(folder)
    raw = _card_bytes(folder)
    findings = []
    try:
        text, broken = unseal(raw)
        if broken:
            findings.append(Finding("card.yaml", broken))
        card = _parse_card(folder, text)
    except PackageError as error:
        return [*findings, Finding("card.yaml", str(error))]
    findings += [*_file_findings(folder, card), *_unexpected_files(folder, card)]
    spoilt = {finding.file for finding in findings}
    checks: dict[str, Callable[[Path, Card], Iterator[Finding]]] = {
        "README.md": _readme_findings,
        "cells.parquet": _cells_findings,
        "peaks.parquet": _peaks_findings,
        "model.onnx": _model_findings,
    }
    for name, check in checks.items():
        if name in card.files and name not in spoilt:
            findings += check(folder, card)
    of_tests = {"model.onnx", vectors.SEQUENCES, vectors.EXPECTED}.intersection(finding.file for finding in findings)
    if of_tests:
        findings.append(Finding("tests", f"not run, because of what is wrong with {', '.join(sorted(of_tests))}"))
    else:
        findings += _test_findings(folder, card)
    return findings


def _write_card(partial: Path, card: Card) -> None:
    """README.md and card.yaml for the other files in `partial`, which must then verify."""
    (partial / "README.md").write_text(readme.render(card, _read_cells(partial)), encoding="utf-8", newline="\n")
    entries = {name: {"bytes": (partial / name).stat().st_size, "sha256": files.sha256(partial / name)} for name in card.files}
    complete = Card.from_fields({**card.model_dump(), "files": entries})
    (partial / "card.yaml").write_bytes(seal(complete.to_yaml()))
    findings = verify_package(partial)
    if findings:
        raise PackageError("\n  ".join(["The package would not verify and was not written:", *map(str, findings)]))


def _card_bytes(folder: Path) -> bytes:
    path = folder / "card.yaml"
    if not folder.is_dir():
        raise PackageError(f"{folder} is not a folder. Give the folder of a model package, in which card.yaml lies.")
    if not path.is_file():
        raise PackageError(f"{folder} is not a model package: it has no card.yaml.")
    if path.is_symlink():
        raise PackageError(f"{path} is a symbolic link; a package holds plain files only.")
    if path.stat().st_size > MAX_BYTES:
        raise PackageError(f"{path} has {path.stat().st_size:,} bytes; a model card has at most {MAX_BYTES:,}.")
    return path.read_bytes()


def _parse_card(folder: Path, text: str) -> Card:
    try:
        return Card.from_yaml(text)
    except PackageError as error:
        raise PackageError(f"{folder / 'card.yaml'}: {error}") from None


def _file_findings(folder: Path, card: Card) -> Iterator[Finding]:
    wrong = list(_wrong_files(folder, card))
    yield from wrong
    spoilt = {finding.file for finding in wrong}
    for name, entry in card.files.items():
        if name not in spoilt and files.sha256(folder / name) != entry.sha256:
            yield Finding(name, "SHA-256 is not the card's: the file was changed or damaged")


def _wrong_files(folder: Path, card: Card) -> Iterator[Finding]:
    for name, entry in card.files.items():
        path = folder / name
        if any(part.is_symlink() for part in (path, *path.parents[: len(Path(name).parts) - 1])):
            yield Finding(name, "is a symbolic link; a package holds plain files only")
        elif not path.is_file():
            yield Finding(name, "is missing")
        elif path.stat().st_size != entry.bytes:
            yield Finding(name, f"has {path.stat().st_size:,} bytes; the card says {entry.bytes:,}")


def _unexpected_files(folder: Path, card: Card) -> Iterator[Finding]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if (path.is_symlink() or not path.is_dir()) and name != "card.yaml" and name not in card.files:
            yield Finding(name, "is not listed in the card; remove it")


def _readme_findings(folder: Path, card: Card) -> Iterator[Finding]:
    # The front matter alone: the words below it may be those of an older version.
    if not (folder / "README.md").read_bytes().startswith(readme.front_matter(card).encode()):
        yield Finding("README.md", "does not begin with the front matter that the card gives; run scbasset-zoo seal FOLDER")


def _cells_findings(folder: Path, card: Card) -> Iterator[Finding]:
    name = "cells.parquet"
    cells = yield from _readable(name, lambda: _read_cells(folder))
    if cells is None:
        return
    if len(cells) != card.cells.n_cells:
        yield Finding(name, f"has {len(cells):,} cells; the card says {card.cells.n_cells:,}")
    if not cells.index.is_unique:
        yield Finding(name, f"the barcode {cells.index[cells.index.duplicated()][0]!r} appears more than once")
    yield from _column_findings(name, list(cells.columns), card.cells.columns)
    yield from _digest_findings(name, "cells", cells.index, card.cells.order_sha256)


def _peaks_findings(folder: Path, card: Card) -> Iterator[Finding]:
    name = "peaks.parquet"
    peaks = yield from _readable(name, lambda: read_table((folder / name).read_bytes(), folder / name))
    if peaks is None or card.peaks is None:
        return
    if len(peaks) != card.peaks.n_peaks:
        yield Finding(name, f"has {len(peaks):,} peaks; the card says {card.peaks.n_peaks:,}")
    yield from _column_findings(name, list(peaks.columns), card.peaks.columns)
    missing = [column for column in ("chrom", "start", "end") if column not in peaks]
    if missing:
        yield Finding(name, f"lacks the column {missing[0]!r}")
    else:
        yield from _digest_findings(name, "peaks", _peak_names(peaks), card.peaks.order_sha256)
        yield from _place_findings(name, peaks)
    split = card.training.split if card.training else None
    if split is not None and "split" in peaks:
        for part in SPLITS:
            found, said = int((peaks["split"] == part).sum()), getattr(split, part)
            if found != said:
                yield Finding(name, f"has {found:,} peaks of split {part!r}; the card says {said:,}")


def _place_findings(name: str, peaks: pd.DataFrame) -> Iterator[Finding]:
    start, end = peaks["start"], peaks["end"]
    if start.dtype.kind not in "iu" or end.dtype.kind not in "iu":
        yield Finding(name, f"start and end must be whole numbers; found {start.dtype} and {end.dtype}")
        return
    wrong = np.flatnonzero((start < 0) | (end <= start))
    if len(wrong):
        first = int(wrong[0])
        yield Finding(
            name,
            f"{len(wrong):,} peaks do not have 0 <= start < end; the first is row {first}, "
            f"start {start.iloc[first]:,}, end {end.iloc[first]:,}",
        )


def _column_findings(name: str, found: list[str], described: Mapping[str, str]) -> Iterator[Finding]:
    unknown, absent = [c for c in found if c not in described], [c for c in described if c not in found]
    if unknown:
        yield Finding(name, f"has columns that the card does not describe: {', '.join(map(str, unknown))}")
    if absent:
        yield Finding(name, f"lacks columns that the card describes: {', '.join(absent)}")


def _digest_findings(name: str, what: str, identifiers: Any, said: str) -> Iterator[Finding]:
    try:
        if order_digest(identifiers) != said:
            yield Finding(name, f"the {what} or their order are not those of the card (order digest)")
    except InputError as error:
        yield Finding(name, str(error))


def _model_findings(folder: Path, card: Card) -> Iterator[Finding]:
    from scbasset_zoo import onnx_model

    name = "model.onnx"
    read = lambda: onnx_model.problems(onnx_model.parse((folder / name).read_bytes()), card)  # noqa: E731
    problems = yield from _readable(name, read)
    yield from (Finding(name, problem) for problem in problems or ())


def _test_findings(folder: Path, card: Card) -> Iterator[Finding]:
    from scbasset_zoo import onnx_model

    codes = yield from _readable(vectors.SEQUENCES, lambda: vectors.read_sequences(folder, card))
    read = yield from _readable(vectors.EXPECTED, lambda: vectors.read_expected(folder, card))
    if codes is None or read is None:
        return
    columns, expected = read
    raw = (folder / "model.onnx").read_bytes()
    model = onnx_model.parse(raw)
    head, batches = onnx_model.head(model), onnx_model.batch_path(model)
    kept: dict[str, list[NDArray[Any]]] = {name: [] for name in card.output_names}
    astray: dict[str, str] = {}
    try:
        for got in onnx_model.run_each(raw, dna.one_hot(codes)):
            astray = _astray(got, *head, batches) | astray
            for name, values in kept.items():
                values.append(got[name] if name == "peak_embedding" else got[name][:, columns])
    except PackageError as error:
        yield Finding("model.onnx", str(error))
        return
    except (IndexError, ValueError) as error:
        yield Finding("model.onnx", f"gives outputs of other shapes than it declares: {error}")
        return
    yield from (Finding("model.onnx", problem) for problem in astray.values())
    for name, values in kept.items():
        problem = _difference(name, np.concatenate(values), expected[name], rtol=card.tests.rtol, atol=card.tests.atol)
        if problem:
            yield Finding(vectors.EXPECTED, problem)


def _astray(
    got: Mapping[str, NDArray[Any]], embedding: NDArray[Any], intercept: NDArray[Any], batches: onnx_model.BatchPath | None
) -> dict[str, str]:
    """Outputs that are not what the head makes of the peak embedding, and how they differ."""
    latent = got["peak_embedding"] @ embedding.T + intercept
    wanted = {"logits": ("logits are not peak_embedding times cell_embedding plus cell_intercept", latent)}
    if batches is not None:
        with_batches = latent + (got["peak_embedding"] @ batches.embedding + batches.intercept) @ batches.by_cell
        wanted[BATCH_OUTPUT] = (f"{BATCH_OUTPUT} are not the logits plus the batch path", with_batches)
    problems = {name: _difference(name, got[name], values, rtol=1e-4, atol=1e-4) for name, (_, values) in wanted.items()}
    return {name: f"{wanted[name][0]}: {problem}" for name, problem in problems.items() if problem}


def _difference(name: str, got: NDArray[Any], expected: NDArray[Any], *, rtol: float, atol: float) -> str | None:
    if got.shape != expected.shape:
        return f"{name}: expected shape {expected.shape}, got {got.shape}"
    wrong = ~np.isclose(got, expected, rtol=rtol, atol=atol)
    if not wrong.any():
        return None
    excess = np.where(wrong, np.nan_to_num(np.abs(got - expected), nan=np.inf), -1.0)
    row, column = np.unravel_index(int(excess.argmax()), excess.shape)
    return (
        f"{name}: {int(wrong.sum()):,} of {wrong.size:,} values differ by more than rtol {rtol:g}, atol {atol:g}; the worst "
        f"is sequence {row}, column {column}: expected {expected[row, column]:.7g}, got {got[row, column]:.7g} "
        f"(off by {abs(float(got[row, column]) - float(expected[row, column])):.3g})"
    )


def _readable(name: str, read: Callable[[], Any]) -> Generator[Finding, None, Any]:
    """The result of `read`, or None and a finding that says why it failed."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001  whatever a hostile file makes a reader raise is a finding
        yield Finding(name, f"cannot be read: {error or type(error).__name__}")
        return None


def _read_cells(folder: Path) -> pd.DataFrame:
    return _cells((folder / "cells.parquet").read_bytes(), folder / "cells.parquet")


def _cells(raw: bytes, path: Path) -> pd.DataFrame:
    table = read_table(raw, path)
    if "barcode" not in table:
        raise PackageError(f"{path} has no column 'barcode'.")
    return table.set_index("barcode")


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


def _peak_names(peaks: pd.DataFrame) -> list[str]:
    return [f"{c}:{s}-{e}" for c, s, e in zip(peaks["chrom"], peaks["start"], peaks["end"], strict=True)]


def _sequence_length(model: onnx.ModelProto) -> int:
    shapes = [list(value.type.tensor_type.shape.dim) for value in model.graph.input if value.name == "sequence"]
    length = shapes[0][1].dim_value if shapes and len(shapes[0]) == 3 else 0
    if length < 1:
        raise PackageError("The model's input 'sequence' must have shape (N, length, 4) with a fixed length.")
    return length


def _labelled(model: onnx.ModelProto, metadata: Mapping[str, str]) -> onnx.ModelProto:
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
            "order_sha256": order_digest(_peak_names(peaks)),
            "columns": _columns(peaks.columns, card.get("peaks", {}), _PEAK_COLUMNS, "peaks' annotation (.var)"),
        }
    return fields


def _columns(names: Any, section: Mapping[str, Any], known: Mapping[str, str], origin: str) -> dict[str, str]:
    given = section.get("columns", {})
    return {name: given.get(name, known.get(name, f"the column {name} of the training {origin}")) for name in names} | {
        name: meaning for name, meaning in given.items() if name not in names
    }
