"""Checks model.onnx against the card: its graph, and the outputs that it gives for the test vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import PackageError
from scbasset_zoo.graph.contract import BATCH_OUTPUT
from scbasset_zoo.inputs import dna
from scbasset_zoo.package import test_vectors
from scbasset_zoo.package.card import Card
from scbasset_zoo.package.finding import Finding, result_or_finding

if TYPE_CHECKING:
    from scbasset_zoo.graph.head import BatchPath
    from scbasset_zoo.graph.limited_run import Runs


def network_findings(folder: Path, card: Card) -> Iterator[Finding]:
    """Check the graph against the contract, without running it."""
    from scbasset_zoo.graph.checks import contract_problems
    from scbasset_zoo.graph.model_proto import parse_model

    name = "model.onnx"
    problems = yield from result_or_finding(
        name, lambda: contract_problems(parse_model((folder / name).read_bytes()), card.contract)
    )
    yield from (Finding(name, problem) for problem in problems or ())


def test_vector_findings(folder: Path, card: Card) -> Iterator[Finding]:
    """Run the test sequences, and compare the outputs with the expected ones, with the head, and between batches."""
    from scbasset_zoo.graph.head import read_batch_path, read_head
    from scbasset_zoo.graph.limited_run import run_limited
    from scbasset_zoo.graph.model_proto import parse_model

    codes = yield from result_or_finding(test_vectors.SEQUENCES, lambda: test_vectors.read_sequences(folder, card))
    vectors = yield from result_or_finding(test_vectors.EXPECTED, lambda: test_vectors.read_expected(folder, card))
    if codes is None or vectors is None:
        return
    cells, expected = vectors
    raw = (folder / "model.onnx").read_bytes()
    model = parse_model(raw)
    head, batches = read_head(model), read_batch_path(model)
    try:
        runs = run_limited(raw, dna.one_hot(codes))
        _require_shapes(runs, len(codes), card)
        _require_finite(runs, card)
        problems = [_head_problems(outputs, *head, batches) for outputs in runs.alone]
        computed = {name: np.concatenate([outputs[name] for outputs in runs.alone]) for name in card.output_names}
    except PackageError as error:
        yield Finding("model.onnx", str(error))
        return
    tolerance = {"rtol": card.tests.rtol, "atol": card.tests.atol}
    yield from (Finding("model.onnx", problem) for problem in _first_by_key(problems).values())
    for name, values in computed.items():
        shown = values if name == "peak_embedding" else values[:, cells]
        if problem := _difference(name, shown, expected[name], **tolerance):
            yield Finding(test_vectors.EXPECTED, problem)
    for batch in (runs.together, runs.reversed):
        for name, values in computed.items():
            if problem := _difference(name, batch[name], values, **tolerance):
                yield Finding("model.onnx", f"gives other results when sequences run together than when they run alone: {problem}")
                return


def _require_shapes(runs: Runs, n: int, card: Card) -> None:
    """Raise PackageError if an output has another shape than the card says."""
    width = dict.fromkeys(card.output_names, card.cells.n_cells) | {"peak_embedding": card.architecture.embedding_size}
    for outputs, rows in (*((outputs, 1) for outputs in runs.alone), (runs.together, n), (runs.reversed, n)):
        for name in card.output_names:
            shape = outputs[name].shape if name in outputs else None
            if shape != (rows, width[name]):
                raise PackageError(f"gives {name} of shape {shape} for {rows} sequences; expected {(rows, width[name])}")


def _require_finite(runs: Runs, card: Card) -> None:
    """Raise PackageError if an output has values that are not finite."""
    for outputs in (*runs.alone, runs.together, runs.reversed):
        for name in card.output_names:
            wrong = int((~np.isfinite(outputs[name])).sum())
            if wrong:
                raise PackageError(f"gives {name} of which {wrong:,} of {outputs[name].size:,} values are not finite")


def _first_by_key(mappings: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return for each key the value of the first mapping that has it."""
    first: dict[str, str] = {}
    for mapping in mappings:
        first = dict(mapping) | first
    return first


def _head_problems(
    outputs: Mapping[str, NDArray[Any]], embedding: NDArray[Any], intercept: NDArray[Any], batches: BatchPath | None
) -> dict[str, str]:
    """Return a problem for each output that differs from what the head's weights give for the peak embedding."""
    peak_embedding = outputs["peak_embedding"]
    logits = peak_embedding @ embedding.T + intercept
    expected = {"logits": logits}
    rules = {"logits": "logits are not peak_embedding times cell_embedding plus cell_intercept"}
    if batches is not None:
        expected[BATCH_OUTPUT] = logits + (peak_embedding @ batches.embedding + batches.intercept) @ batches.by_cell
        rules[BATCH_OUTPUT] = f"{BATCH_OUTPUT} are not the logits plus the batch path"
    problems = {name: _difference(name, outputs[name], values, rtol=1e-4, atol=1e-4) for name, values in expected.items()}
    return {name: f"{rules[name]}: {problem}" for name, problem in problems.items() if problem}


def _difference(name: str, values: NDArray[Any], expected: NDArray[Any], *, rtol: float, atol: float) -> str | None:
    """Say how many values differ, by how much, and where the largest difference is; None if none differs."""
    if values.shape != expected.shape:
        return f"{name}: expected shape {expected.shape}, got {values.shape}"
    wrong = ~np.isclose(values, expected, rtol=rtol, atol=atol)
    if not wrong.any():
        return None
    differences = np.where(wrong, np.nan_to_num(np.abs(values - expected), nan=np.inf), -1.0)
    row, column = np.unravel_index(int(differences.argmax()), differences.shape)
    return (
        f"{name}: {int(wrong.sum()):,} of {wrong.size:,} values differ by more than rtol {rtol:g}, atol {atol:g}; the worst "
        f"is sequence {row}, column {column}: expected {expected[row, column]:.7g}, got {values[row, column]:.7g} "
        f"(off by {abs(float(values[row, column]) - float(expected[row, column])):.3g})"
    )
