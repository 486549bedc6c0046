"""Verifies a package: checks everything that its card promises, and returns all findings at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package import readme, test_vectors
from scbasset_zoo.package.card import Card
from scbasset_zoo.package.digests import unseal
from scbasset_zoo.package.finding import Finding
from scbasset_zoo.package.integrity import file_hash_findings, parse_card, read_card_bytes, unexpected_file_findings
from scbasset_zoo.package.network_findings import network_findings, test_vector_findings
from scbasset_zoo.package.table_findings import cell_findings, peak_findings


def verify_package(folder: str | Path) -> list[Finding]:
    """Check everything that a package promises.

    The checks are: sizes and hashes of files, missing and unexpected files, counts and order digests of the tables, the ONNX
    graph, and the test vectors, which plain ONNX Runtime must reproduce on the CPU. The test vectors run only if model.onnx
    is sound and is the file that the card names.

    Returns
    -------
    list of Finding
        Everything that is wrong; an empty list if the package is sound.

    Raises
    ------
    PackageError
        `folder` has no card.yaml.
    DeviceError
        No ONNX Runtime is installed.
    """
    folder = Path(folder)
    raw = read_card_bytes(folder)
    findings = []
    try:
        text, digest_problem = unseal(raw)
        if digest_problem:
            findings.append(Finding("card.yaml", digest_problem))
        card = parse_card(folder, text)
    except PackageError as error:
        return [*findings, Finding("card.yaml", str(error))]
    findings += [*file_hash_findings(folder, card), *unexpected_file_findings(folder, card)]
    return [*findings, *_content_findings(folder, card, wrong_files={finding.file for finding in findings})]


def _content_findings(folder: Path, card: Card, wrong_files: set[str]) -> Iterator[Finding]:
    """Check the contents of each file, except those that are already known to be wrong."""
    checks: dict[str, Callable[[Path, Card], Iterator[Finding]]] = {
        "README.md": _readme_findings,
        "cells.parquet": cell_findings,
        "peaks.parquet": peak_findings,
        "model.onnx": network_findings,
    }
    wrong_files = set(wrong_files)
    for name, check in checks.items():
        if name in card.files and name not in wrong_files:
            for finding in check(folder, card):
                wrong_files.add(finding.file)
                yield finding
    reasons = wrong_files & {"model.onnx", test_vectors.SEQUENCES, test_vectors.EXPECTED}
    if reasons:
        yield Finding("tests", f"not run, because of what is wrong with {', '.join(sorted(reasons))}")
    else:
        yield from test_vector_findings(folder, card)


def _readme_findings(folder: Path, card: Card) -> Iterator[Finding]:
    # Only the front matter: an earlier version of this program may have written the text below it.
    if not (folder / "README.md").read_bytes().startswith(readme.front_matter(card).encode()):
        yield Finding("README.md", "does not begin with the front matter that the card gives; run scbasset-zoo seal FOLDER")
