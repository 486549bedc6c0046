"""Reads motifs in MEME format.

memelite's read_meme is not used: it reports no line, crashes without "w=", takes malformed rows and keeps one of two equal titles.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo import InputError
from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.console import say
from scbasset_zoo.extend.files import require_letters, text_lines
from scbasset_zoo_plugins.motifs.motif import Motif, checked_motifs

_MATRIX = re.compile(r"letter-probability\s+matrix\b", re.IGNORECASE)
# Other formats of motifs by their first line.
_OTHER_FORMATS = (
    (r">\S*\t[^\t]+\t-?[\d.]", "a HOMER file: convert it, for example with write_meme(read_homer(FILE)) of R's universalmotif"),
    (r">", "a JASPAR or FASTA file: convert JASPAR's matrices with `jaspar2meme -bundle FILE`"),
    (r"(AC|ID|VV|XX|DE|NA)\b", "a TRANSFAC file: convert it with `transfac2meme FILE`"),
    (r"Pos\s+A\s+C\s+G\s+[TU]", "a matrix of CIS-BP: give its MEME file, or convert it with `matrix2meme`"),
)


def read_meme(path: str | os.PathLike[str]) -> list[Motif]:
    """Read the motifs of a file in MEME format: the minimal one, or the text that MEME, DREME and STREME write.

    The first word of a MOTIF line is the identifier, the second the factor. RNA is read as DNA, with a message.

    Raises
    ------
    InputError
        The file cannot be read or is of another format, it has no motif, a motif occurs twice, or a matrix is malformed. The
        message has the line.
    """
    path = Path(path)
    # Descriptions and addresses may have letters of another encoding.
    lines = list(text_lines(path, comments=(), strict=False))
    if not any(line.split()[:2] == ["MEME", "version"] for _, line in lines):
        first = lines[0][1] if lines else ""
        other = next((f"; it looks like {kind}" for pattern, kind in _OTHER_FORMATS if re.match(pattern, first)), "")
        raise InputError(f"{path} is not a MEME file: it has no line that begins with 'MEME version'{other}.")
    _require_dna(lines, path)
    matrices: dict[str, NDArray[np.float64]] = {}
    titles: dict[str, str] = {}
    numbers: dict[str, int] = {}
    motif, has_log_odds = "", False
    for at, (number, line) in enumerate(lines):
        where = f"{path}, line {number}"
        if line.split()[0] == "MOTIF":
            _require_matrix(motif, matrices, has_log_odds, path)
            title = _title(line, where)
            motif, has_log_odds = title.split()[0], False
            if motif in numbers:
                raise InputError(
                    f"{where}: two motifs have the identifier {motif}; it occurs twice, first on line {numbers[motif]}. Rename one."
                )
            titles[motif], numbers[motif] = title, number
        elif line.lstrip().startswith("log-odds matrix"):
            has_log_odds = True
        elif _MATRIX.match(line.lstrip()):
            if not motif or motif in matrices:
                raise InputError(f"{where}: expected a MOTIF line above each matrix; this matrix has none.")
            matrices[motif] = _read_matrix(lines[at:], f"{where}, motif {motif}")
    _require_matrix(motif, matrices, has_log_odds, path)
    if not matrices:
        raise InputError(f"{path} has no motif; expected lines that begin with 'MOTIF' and a letter-probability matrix for each.")
    return checked_motifs({titles[motif]: matrix for motif, matrix in matrices.items()}, str(path))


def _require_dna(lines: Sequence[tuple[int, str]], path: Path) -> None:
    """Raise InputError if the alphabet is not A, C, G and T; U of RNA counts as T, with a message."""
    for at, (number, line) in enumerate(lines):
        if not line.startswith("ALPHABET"):
            continue
        stated = re.match(r"ALPHABET\s*=\s*(\S*)", line)
        letters = stated[1].upper() if stated else _core_symbols(lines[at + 1 :])
        if letters == "ACGU":
            say(f"{path} has motifs of RNA: U is read as T")
        elif letters != dna.ALPHABET:
            kind = " of proteins" if letters == "ACDEFGHIKLMNPQRSTVWY" else ""
            raise InputError(f"{path}, line {number}: the alphabet must be {dna.ALPHABET}; found {letters!r}{kind}.")


def _core_symbols(lines: Sequence[tuple[int, str]]) -> str:
    """Return the core symbols of an alphabet that is defined on the following lines, in MEME's order.

    A line such as `A "Adenine" CC0000 ~ T "Thymine" 0000CC` has one symbol, or two that are complements. Lines with "=" have
    symbols for several others.
    """
    symbols: set[str] = set()
    for _, line in lines:
        if line.startswith("END"):
            break
        bare = re.sub(r'"[^"]*"', " ", line)
        if "=" not in bare and not bare.startswith("#"):
            symbols.update(part.split()[0] for part in bare.split("~") if part.strip())
    return "".join(sorted(symbols))


def _title(line: str, where: str) -> str:
    """Return the identifier of a MOTIF line, and the factor after a blank if there is one."""
    # MEME itself adds "width = 4 sites = 20 ..." to the line.
    title = " ".join(re.split(r"\bwidth\s*=", line, maxsplit=1)[0].split()[1:3])
    if not title:
        raise InputError(f"{where}: expected a name after MOTIF.")
    require_letters(title, where)
    return title


def _read_matrix(lines: Sequence[tuple[int, str]], where: str) -> NDArray[np.float64]:
    """Read the rows of a matrix: as many as "w=" in its header says, or all lines of numbers if there is no "w=".

    Parameters
    ----------
    lines : list of (number, line)
        The header of the matrix and all lines after it.
    where : str
        Start of error messages.
    """
    fields = {key: int(value) for key, value in re.findall(r"\b(alength|w)\s*=\s*(\d+)", lines[0][1])}
    if fields.get("alength", 4) != 4:
        raise InputError(f"{where}: expected 4 columns, for A C G T; the header says alength= {fields['alength']}.")
    width = fields.get("w")
    rows: list[list[float]] = []
    for number, line in lines[1:]:
        words = line.split()
        row = _numbers(words)
        if row is None and not (re.match(r"[+-]?\.?\d", words[0]) or _is_nearly_row(words)):
            break
        if row is None or len(row) != 4:
            raise InputError(
                f"{where}: row {len(rows) + 1} of the matrix (line {number}) must be 4 probabilities; found {line.strip()[:60]!r}."
            )
        if len(rows) == width:
            raise InputError(
                f"{where}: line {number} is one more row of the matrix, {line.strip()[:60]!r}; its header says w= {width}. "
                "Correct one of them."
            )
        rows.append(row)
    if not rows or (width is not None and len(rows) != width):
        raise InputError(
            f"{where}: the matrix has {len(rows)} rows" + (f"; its header says w= {width}." if width is not None else ".")
        )
    return np.array(rows)


def _numbers(words: Sequence[str]) -> list[float] | None:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _is_nearly_row(words: Sequence[str]) -> bool:
    """Return whether a line of four words has two numbers or more: a row with a typing error."""
    return len(words) == 4 and sum(_numbers([word]) is not None for word in words) >= 2


def _require_matrix(motif: str, matrices: Mapping[str, object], has_log_odds: bool, path: Path) -> None:
    """Raise InputError if a motif has no matrix."""
    if motif and motif not in matrices:
        found = (
            "only a log-odds matrix; write probabilities." if has_log_odds else "none. The file may be cut short: fetch it again."
        )
        raise InputError(f"{path}: the motif {motif} has no letter-probability matrix, {found}")
