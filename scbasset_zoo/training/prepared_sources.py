"""Describes the files that a prepared peak set was made of, for its manifest: names, sizes and digests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scbasset_zoo.files import sha256
from scbasset_zoo.inputs.peak_matrix import PeakMatrix


def described_sources(source: PeakMatrix, genome: Path, cells_table: object, blacklist: Sequence[Path]) -> dict[str, Any]:
    """Describe the matrices, the genome, and the table of cells and the blacklist if there are any.

    Parameters
    ----------
    source : PeakMatrix
    genome : Path
        It is described by its size alone: digests of genomes take long.
    cells_table : path, table or None
    blacklist : sequence of Path
    """
    return {
        "matrix": _matrices(source),
        "fasta": {"name": genome.name, "bytes": genome.stat().st_size},
        **_cells_table(cells_table),
        **_blacklist(blacklist),
    }


def _matrices(source: PeakMatrix) -> dict[str, Any]:
    if len(source.parts) < 2:
        return {"name": source.name, "files": {path.name: _described(path) for path in source.files}}
    # Files of several samples may have the same name.
    files = {f"{part.origin['sample']}/{path.name}": _described(path) for part in source.parts for path in part.files}
    return {"name": source.name, "files": files}


def _cells_table(table: object) -> dict[str, Any]:
    if not isinstance(table, str | os.PathLike):
        return {} if table is None else {"cells_table": {"name": "a table in memory"}}
    path = Path(table)
    return {"cells_table": {"name": path.name, "files": {path.name: _described(path)}}}


def _blacklist(paths: Sequence[Path]) -> dict[str, Any]:
    files: dict[str, dict[str, Any]] = {}
    for number, path in enumerate(paths, 1):
        # A name that an earlier file has gets a number.
        files[f"{path.name} ({number})" if path.name in files else path.name] = _described(path)
    return {"blacklist": {"name": "blacklist", "files": files}} if files else {}


def _described(path: Path) -> dict[str, int | str]:
    """Return the size of a file or folder, and the digest of a file."""
    if path.is_file():
        return {"bytes": path.stat().st_size, "sha256": sha256(path)}
    return {"bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file())}
