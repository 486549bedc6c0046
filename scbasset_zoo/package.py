"""A model on disk: open a package, write one atomically, verify one completely; nothing in a package is ever executed."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo import dna, files, readme
from scbasset_zoo.card import MAX_BYTES, OUTPUT_NAMES, REQUIRED_FILES, SCHEMA_VERSION, Card, order_digest
from scbasset_zoo.errors import InputError, PackageError

if TYPE_CHECKING:
    import onnx
    import pandas as pd

MAX_TEST_CELLS = 1_000
_AGAIN = "Fetch or export the package again."
SPLITS = ("train", "validation", "test")
_MEANINGS = {
    "accessibility": "probability that the peak is open in each cell, the sigmoid of the logits",
    "logits": "log odds that the peak is open in each cell: peak_embedding times cell_embedding, plus cell_intercept",
    "peak_embedding": "the sequence in the latent space that it shares with the cell embedding",
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
        return f"{self.file}: {self.problem}"


@dataclass(frozen=True)
class Package:
    """A model package in a local folder."""

    folder: Path
    card: Card
    card_sha256: str

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """Read the card and check that every file is there with its size; hashes are left to :meth:`verify`.

        Raises
        ------
        PackageError
            No package, a card with problems, or files that are missing or of the wrong size.
        """
        folder = Path(folder)
        raw = _card_bytes(folder)
        card = _parse_card(folder, raw)
        wrong = list(_wrong_files(folder, card))
        if wrong:
            raise PackageError("\n  ".join([f"{folder} is not complete:", *map(str, wrong), _AGAIN]))
        return cls(folder, card, hashlib.sha256(raw).hexdigest())

    def model_bytes(self) -> bytes:
        """The bytes of model.onnx, which must be those that the card names."""
        raw = (self.folder / "model.onnx").read_bytes()
        if hashlib.sha256(raw).hexdigest() != self.card.files["model.onnx"].sha256:
            raise PackageError(f"{self.folder / 'model.onnx'} is not the file that the card names (its SHA-256 differs). {_AGAIN}")
        return raw

    def cells(self) -> pd.DataFrame:
        """The model's cells in output order, indexed by barcode."""
        cells = _read_cells(self.folder)
        if order_digest(cells.index) != self.card.cells.order_sha256:
            raise PackageError(f"{self.folder / 'cells.parquet'}: the cells or their order are not those of the card. {_AGAIN}")
        return cells

    def peaks(self) -> pd.DataFrame | None:
        """The training peaks in order: `chrom`, `start` (0-based), `end`, `split`; None where the package has none."""
        return _read_table(self.folder / "peaks.parquet") if self.card.peaks else None

    def verify(self) -> list[Finding]:
        """Everything that is wrong with the package on disk; see :func:`verify_package`."""
        return verify_package(self.folder)


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

    files.check_destination(folder, overwrite=overwrite)
    embedding, _ = onnx_model.head(model)
    cells_table, peaks_table = _cells_table(cells, len(embedding)), _peaks_table(peaks)
    length = _sequence_length(model)
    tests = _test_sequences(sequences, length)
    fields = _fields(card, model, embedding.shape[1], cells_table, peaks_table, length)
    fields["tests"] = {"n_sequences": len(tests), "rtol": float(rtol), "atol": float(atol)}
    names = [*REQUIRED_FILES, *(["peaks.parquet"] if peaks is not None else [])]
    draft = Card.from_fields({**fields, "files": {name: {"bytes": 0, "sha256": "0" * 64} for name in names}})
    model = _labelled(model, onnx_model.metadata(draft))
    problems = onnx_model.problems(model, draft)
    if problems:
        raise PackageError("\n  ".join(["The model cannot be packaged; model.onnx", *problems]))
    with files.new_folder(folder, overwrite=overwrite) as partial:
        (partial / "tests").mkdir()
        raw = model.SerializeToString()
        (partial / "model.onnx").write_bytes(raw)
        _write_table(cells_table, partial / "cells.parquet")
        if peaks_table is not None:
            _write_table(peaks_table, partial / "peaks.parquet")
        (partial / "tests/sequences.txt").write_text("".join(f"{sequence}\n" for sequence in tests), encoding="ascii")
        _write_expected(partial / "tests/expected.npz", onnx_model.run_plainly(raw, dna.one_hot(dna.as_codes(tests))))
        (partial / "README.md").write_text(readme.render(draft), encoding="utf-8")
        entries = {name: {"bytes": (partial / name).stat().st_size, "sha256": files.sha256(partial / name)} for name in names}
        (partial / "card.yaml").write_text(Card.from_fields({**fields, "files": entries}).to_yaml(), encoding="utf-8")
        findings = verify_package(partial)
        if findings:
            raise PackageError("\n  ".join(["The package would not verify and was not written:", *map(str, findings)]))
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
    try:
        card = _parse_card(folder, raw)
    except PackageError as error:
        return [Finding("card.yaml", str(error))]
    findings = [*_wrong_files(folder, card), *_unexpected_files(folder, card)]
    spoilt = {finding.file for finding in findings}
    for name, entry in card.files.items():
        if name not in spoilt and files.sha256(folder / name) != entry.sha256:
            findings.append(Finding(name, "SHA-256 is not the card's: the file was changed or damaged"))
    for check in (_cells_findings, _peaks_findings, _model_findings):
        findings += check(folder, card)
    of_tests = {"model.onnx", "tests/sequences.txt", "tests/expected.npz"}.intersection(finding.file for finding in findings)
    if of_tests:
        findings.append(Finding("tests", f"not run, because of what is wrong with {', '.join(sorted(of_tests))}"))
    else:
        findings += _test_findings(folder, card)
    return findings


def _card_bytes(folder: Path) -> bytes:
    path = folder / "card.yaml"
    if not folder.is_dir():
        raise PackageError(f"{folder} is not a folder. Give the folder of a model package, in which card.yaml lies.")
    if not path.is_file():
        raise PackageError(f"{folder} is not a model package: it has no card.yaml.")
    if path.stat().st_size > MAX_BYTES:
        raise PackageError(f"{path} has {path.stat().st_size:,} bytes; a model card has at most {MAX_BYTES:,}.")
    return path.read_bytes()


def _parse_card(folder: Path, raw: bytes) -> Card:
    try:
        return Card.from_yaml(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PackageError(f"{folder / 'card.yaml'} is not UTF-8 text: {error}") from error
    except PackageError as error:
        raise PackageError(f"{folder / 'card.yaml'}: {error}") from None


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
    if (folder / "card.yaml").is_symlink():
        yield Finding("card.yaml", "is a symbolic link; a package holds plain files only")


def _cells_findings(folder: Path, card: Card) -> Iterator[Finding]:
    name = "cells.parquet"
    cells = yield from _readable(folder, name, lambda: _read_cells(folder))
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
    if card.peaks is None:
        return
    peaks = yield from _readable(folder, name, lambda: _read_table(folder / name))
    if peaks is None:
        return
    if len(peaks) != card.peaks.n_peaks:
        yield Finding(name, f"has {len(peaks):,} peaks; the card says {card.peaks.n_peaks:,}")
    yield from _column_findings(name, list(peaks.columns), card.peaks.columns)
    missing = [column for column in ("chrom", "start", "end") if column not in peaks]
    if missing:
        yield Finding(name, f"lacks the column {missing[0]!r}")
    else:
        yield from _digest_findings(name, "peaks", _peak_names(peaks), card.peaks.order_sha256)
    split = card.training.split if card.training else None
    if split is not None and "split" in peaks:
        for part in SPLITS:
            found, said = int((peaks["split"] == part).sum()), getattr(split, part)
            if found != said:
                yield Finding(name, f"has {found:,} peaks of split {part!r}; the card says {said:,}")


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
    model = yield from _readable(folder, name, lambda: onnx_model.parse((folder / name).read_bytes()))
    if model is not None:
        yield from (Finding(name, problem) for problem in onnx_model.problems(model, card))


def _test_findings(folder: Path, card: Card) -> Iterator[Finding]:
    from scbasset_zoo import onnx_model

    name = "tests/sequences.txt"
    codes = yield from _readable(folder, name, lambda: _read_sequences(folder / name, card.input.length))
    expected = yield from _readable(folder, "tests/expected.npz", lambda: _read_expected(folder / "tests/expected.npz"))
    if codes is None or expected is None:
        return
    if len(codes) != card.tests.n_sequences:
        yield Finding(name, f"has {len(codes)} sequences; the card says {card.tests.n_sequences}")
    raw = (folder / "model.onnx").read_bytes()
    try:
        got = onnx_model.run_plainly(raw, dna.one_hot(codes))
    except PackageError as error:
        yield Finding("model.onnx", str(error))
        return
    embedding, intercept = onnx_model.head(onnx_model.parse(raw))
    latent = got["peak_embedding"] @ embedding.T + intercept
    problem = _difference("logits", got["logits"], latent, rtol=1e-4, atol=1e-4)
    if problem:
        yield Finding("model.onnx", f"logits are not peak_embedding times cell_embedding plus cell_intercept: {problem}")
    columns = expected.pop("cells")
    if columns.dtype.kind not in "iu" or columns.ndim != 1 or not np.isin(columns, np.arange(card.cells.n_cells)).all():
        yield Finding("tests/expected.npz", f"'cells' must be positions of cells, 0 to {card.cells.n_cells - 1:,}")
        return
    for output in OUTPUT_NAMES:
        values = got[output] if output == "peak_embedding" else got[output][:, columns]
        problem = _difference(output, values, expected[output], rtol=card.tests.rtol, atol=card.tests.atol)
        if problem:
            yield Finding("tests/expected.npz", problem)


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


def _readable(folder: Path, name: str, read: Callable[[], Any]) -> Generator[Finding, None, Any]:
    """The result of `read`, or None and a finding that says why it failed; a file that is missing is a finding already."""
    if not (folder / name).is_file():
        return None
    try:
        return read()
    except Exception as error:  # noqa: BLE001  whatever a damaged file makes a reader raise is a finding
        yield Finding(name, f"cannot be read: {error or type(error).__name__}")
        return None


def _read_table(path: Path) -> pd.DataFrame:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pandas()


def _read_cells(folder: Path) -> pd.DataFrame:
    table = _read_table(folder / "cells.parquet")
    if "barcode" not in table:
        raise PackageError(f"{folder / 'cells.parquet'} has no column 'barcode'.")
    return table.set_index("barcode")


def _read_sequences(path: Path, length: int) -> dna.Codes:
    return dna.as_codes(path.read_text(encoding="ascii").split(), length)


def _read_expected(path: Path) -> dict[str, NDArray[Any]]:
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise PackageError("not a NumPy .npz file")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("cells", *OUTPUT_NAMES)}


def _write_expected(path: Path, outputs: Mapping[str, NDArray[np.float32]]) -> None:
    n_cells = outputs["logits"].shape[1]
    cells = np.linspace(0, n_cells - 1, min(n_cells, MAX_TEST_CELLS)).astype(np.int64)
    kept = {name: values if name == "peak_embedding" else values[:, cells] for name, values in outputs.items()}
    np.savez_compressed(path, cells=cells, **kept)  # type: ignore[arg-type]


def _write_table(table: pd.DataFrame, path: Path) -> None:
    import pyarrow as pa

    try:
        table.to_parquet(path, index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"{path.name} cannot be written: {error}. Give each column one plain type.") from error


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


def _test_sequences(sequences: Sequence[str] | None, length: int) -> list[str]:
    if sequences is None:
        sequences = [dna.decode(codes) for codes in np.random.default_rng(0).integers(0, 4, (3, length), dtype=np.int8)]
    tests = [dna.decode(codes) for codes in dna.as_codes(list(sequences), length)]
    if not any("N" in sequence for sequence in tests):
        third = length // 3
        tests.append(tests[0][:third] + "N" * third + tests[0][2 * third :])
    return tests


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
    fields["outputs"] = [{"name": name, "meaning": meaning} for name, meaning in _MEANINGS.items()]
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
