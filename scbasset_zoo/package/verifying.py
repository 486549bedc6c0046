"""Verifies a package: everything that its card promises, and all findings at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.graph.contract import BATCH_OUTPUT
from scbasset_zoo.inputs import dna
from scbasset_zoo.package import readme, test_vectors
from scbasset_zoo.package.annotation import peak_identifiers, read_cells
from scbasset_zoo.package.card import SPLITS, Card
from scbasset_zoo.package.digests import order_digest, unseal
from scbasset_zoo.package.finding import Finding, result_or_finding
from scbasset_zoo.package.integrity import file_hash_findings, parse_card, read_card_bytes, unexpected_file_findings
from scbasset_zoo.package.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

    from scbasset_zoo.graph.head import BatchPath


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
    raw = read_card_bytes(folder)
    findings = []
    try:
        text, broken = unseal(raw)
        if broken:
            findings.append(Finding("card.yaml", broken))
        card = parse_card(folder, text)
    except PackageError as error:
        return [*findings, Finding("card.yaml", str(error))]
    findings += [*file_hash_findings(folder, card), *unexpected_file_findings(folder, card)]
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
    of_tests = {"model.onnx", test_vectors.SEQUENCES, test_vectors.EXPECTED}.intersection(finding.file for finding in findings)
    if of_tests:
        findings.append(Finding("tests", f"not run, because of what is wrong with {', '.join(sorted(of_tests))}"))
    else:
        findings += _test_findings(folder, card)
    return findings


def _readme_findings(folder: Path, card: Card) -> Iterator[Finding]:
    # The front matter alone: the words below it may be those of an older version.
    if not (folder / "README.md").read_bytes().startswith(readme.front_matter(card).encode()):
        yield Finding("README.md", "does not begin with the front matter that the card gives; run scbasset-zoo seal FOLDER")


def _cells_findings(folder: Path, card: Card) -> Iterator[Finding]:
    name = "cells.parquet"
    cells = yield from result_or_finding(name, lambda: read_cells(folder))
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
    peaks = yield from result_or_finding(name, lambda: read_table((folder / name).read_bytes(), folder / name))
    if peaks is None or card.peaks is None:
        return
    if len(peaks) != card.peaks.n_peaks:
        yield Finding(name, f"has {len(peaks):,} peaks; the card says {card.peaks.n_peaks:,}")
    yield from _column_findings(name, list(peaks.columns), card.peaks.columns)
    missing = [column for column in ("chrom", "start", "end") if column not in peaks]
    if missing:
        yield Finding(name, f"lacks the column {missing[0]!r}")
    else:
        yield from _digest_findings(name, "peaks", peak_identifiers(peaks), card.peaks.order_sha256)
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
    from scbasset_zoo.graph.checks import contract_problems
    from scbasset_zoo.graph.model_proto import parse_model

    name = "model.onnx"
    problems = yield from result_or_finding(
        name, lambda: contract_problems(parse_model((folder / name).read_bytes()), card.contract)
    )
    yield from (Finding(name, problem) for problem in problems or ())


def _test_findings(folder: Path, card: Card) -> Iterator[Finding]:
    from scbasset_zoo.graph.head import read_batch_path, read_head
    from scbasset_zoo.graph.model_proto import parse_model
    from scbasset_zoo.graph.plain_run import run_each

    codes = yield from result_or_finding(test_vectors.SEQUENCES, lambda: test_vectors.read_sequences(folder, card))
    read = yield from result_or_finding(test_vectors.EXPECTED, lambda: test_vectors.read_expected(folder, card))
    if codes is None or read is None:
        return
    columns, expected = read
    raw = (folder / "model.onnx").read_bytes()
    model = parse_model(raw)
    head, batches = read_head(model), read_batch_path(model)
    kept: dict[str, list[NDArray[Any]]] = {name: [] for name in card.output_names}
    astray: dict[str, str] = {}
    try:
        for got in run_each(raw, dna.one_hot(codes)):
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
            yield Finding(test_vectors.EXPECTED, problem)


def _astray(
    got: Mapping[str, NDArray[Any]], embedding: NDArray[Any], intercept: NDArray[Any], batches: BatchPath | None
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
