"""Reads motifs in MEME format.

memelite's read_meme is not used: it reports no line, crashes without "w=", takes malformed rows and keeps one of two equal titles.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo import InputError
from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.files import open_text, readable
from scbasset_zoo_plugins.motifs.motif import Motif, checked_motifs


def read_meme(path: str | os.PathLike[str]) -> list[Motif]:
    """Read the motifs of a file in MEME's minimal format.

    Raises
    ------
    InputError
        The file cannot be read, it has no motif, a motif occurs twice, or a matrix is malformed. The message has the line.
    """
    matrices: dict[str, NDArray[np.float64]] = {}
    with readable(str(path)), open_text(path, errors="replace") as file:
        lines = list(file)
    if not any(line.startswith("MEME version") for line in lines):
        raise InputError(f"{path} is not a MEME file: it has no line that begins with 'MEME version'.")
    title = ""
    for number, line in enumerate(lines, 1):
        if line.startswith("ALPHABET") and "=" in line and line.split("=", 1)[1].strip() != dna.ALPHABET:
            raise InputError(f"{path}, line {number}: the alphabet must be {dna.ALPHABET}; found {line.strip()!r}.")
        if line.startswith("MOTIF"):
            _require_matrix(title, matrices, path)
            # MEME itself adds "width = 4 sites = 20 ..." to the line.
            title = " ".join(re.split(r"\s+width\s*=", line, maxsplit=1)[0].split()[1:])
            if not title or title in matrices:
                problem = f"the motif {title} occurs twice; rename one" if title else "expected a name after MOTIF"
                raise InputError(f"{path}, line {number}: {problem}.")
        elif line.startswith("letter-probability matrix"):
            if not title or title in matrices:
                raise InputError(f"{path}, line {number}: expected a MOTIF line above each matrix; this matrix has none.")
            matrices[title] = _read_matrix(lines, number, f"{path}, line {number}, motif {title}")
    _require_matrix(title, matrices, path)
    if not matrices:
        raise InputError(f"{path} has no motif; expected lines that begin with 'MOTIF' and a letter-probability matrix for each.")
    return checked_motifs(matrices, str(path))


def _read_matrix(lines: Sequence[str], header: int, where: str) -> NDArray[np.float64]:
    """Read the rows of a matrix: as many as "w=" in its header says, or up to a line without numbers if there is no "w=".

    Parameters
    ----------
    lines : list of str
        All lines of the file.
    header : int
        Number of the header's line, from 1.
    where : str
        Start of error messages.
    """
    width_field = re.search(r"\bw=\s*(\d+)", lines[header - 1])
    width = int(width_field[1]) if width_field else None
    rows: list[list[float]] = []
    for number, line in enumerate(itertools.islice(lines, header, None), header + 1):
        try:
            row = [float(value) for value in line.split()]
        except ValueError:
            row = []
        is_complete = len(rows) == width if width is not None else not row
        if is_complete and len(row) == 4:
            raise InputError(
                f"{where}: line {number} is one more row of the matrix, {line.strip()[:60]!r}; its header says w= {len(rows)}. "
                "Correct one of them."
            )
        if is_complete:
            break
        if len(row) != 4:
            raise InputError(
                f"{where}: row {len(rows) + 1} of the matrix (line {number}) must be 4 probabilities; found {line.strip()[:60]!r}."
            )
        rows.append(row)
    if not rows or (width is not None and len(rows) != width):
        raise InputError(
            f"{where}: the matrix has {len(rows)} rows" + (f"; its header says w= {width}." if width is not None else ".")
        )
    return np.array(rows)


def _require_matrix(title: str, matrices: Mapping[str, object], path: str | os.PathLike[str]) -> None:
    """Raise InputError if the motif with a title has no matrix."""
    if title and title not in matrices:
        raise InputError(f"{path}: the motif {title} has no letter-probability matrix. The file may be cut short: fetch it again.")
