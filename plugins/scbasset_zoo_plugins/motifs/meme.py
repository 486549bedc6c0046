"""Reads motifs in MEME format."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo import InputError
from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.files import readable
from scbasset_zoo_plugins.motifs.motif import Motif, checked_motifs


def read_meme(path: str | os.PathLike[str]) -> list[Motif]:
    """Motifs of a file in MEME's minimal format.

    Raises
    ------
    InputError
        The file cannot be read, holds no motif or one twice, or a matrix is malformed: the message has the line.
    """
    matrices: dict[str, NDArray[np.float64]] = {}
    with readable(str(path)), open(path, encoding="utf-8", errors="replace") as file:
        lines = list(file)
    if not any(line.startswith("MEME version") for line in lines):
        raise InputError(f"{path} is not a MEME file: it has no line that begins with 'MEME version'.")
    title = ""
    for number, line in enumerate(lines, 1):
        if line.startswith("ALPHABET") and "=" in line and line.split("=", 1)[1].strip() != dna.ALPHABET:
            raise InputError(f"{path}, line {number}: the alphabet must be {dna.ALPHABET}; found {line.strip()!r}.")
        if line.startswith("MOTIF"):
            require_matrix(title, matrices, path)
            title = " ".join(line.split()[1:])
            if not title or title in matrices:
                raise InputError(
                    f"{path}, line {number}: {f'the motif {title} stands there twice' if title else 'MOTIF without name'}."
                )
        elif line.startswith("letter-probability matrix"):
            if not title or title in matrices:
                raise InputError(f"{path}, line {number}: a matrix without a MOTIF line of its own above it.")
            matrices[title] = read_matrix(lines, number, f"{path}, line {number}, motif {title}")
    require_matrix(title, matrices, path)
    if not matrices:
        raise InputError(f"{path} has no motif; expected lines that begin with 'MOTIF' and a letter-probability matrix for each.")
    return checked_motifs(matrices, str(path))


def read_matrix(lines: Sequence[str], header: int, where: str) -> NDArray[np.float64]:
    """The rows under a matrix's header, the line of that number: as many as it says, or up to a line that holds no numbers."""
    says = re.search(r"\bw=\s*(\d+)", lines[header - 1])
    rows: list[list[float]] = []
    for number, line in enumerate(itertools.islice(lines, header, None), header + 1):
        try:
            row = [float(value) for value in line.split()]
        except ValueError:
            row = []
        is_whole = len(rows) == int(says[1]) if says is not None else not row
        if is_whole and len(row) == 4:
            raise InputError(
                f"{where}: line {number} is one more row of the matrix, {line.strip()[:60]!r}; its header says w= {len(rows)}. "
                "Put one of them right."
            )
        if is_whole:
            break
        if len(row) != 4:
            raise InputError(
                f"{where}: row {len(rows) + 1} of the matrix (line {number}) must be 4 probabilities; found {line.strip()[:60]!r}."
            )
        rows.append(row)
    if not rows or (says is not None and len(rows) != int(says[1])):
        raise InputError(f"{where}: the matrix has {len(rows)} rows" + (f"; its header says w= {says[1]}." if says else "."))
    return np.array(rows)


def require_matrix(title: str, matrices: Mapping[str, object], path: str | os.PathLike[str]) -> None:
    if title and title not in matrices:
        raise InputError(f"{path}: the motif {title} has no letter-probability matrix. Was the file cut short?")
