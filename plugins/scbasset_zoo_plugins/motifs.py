"""Motifs as position weight matrices: read from MEME files, from JASPAR by name, or from a collection that a plugin brings."""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo import dna
from scbasset_zoo.errors import InputError, readable

# Published matrices are rounded: CIS-BP's columns sum to 1 within 2e-6, older ones within a per cent.
SUM_TOLERANCE = 0.02
JASPAR_TAXA = ("vertebrates", "plants", "insects", "nematodes", "fungi", "urochordates")


@dataclass(frozen=True)
class Motif:
    """A position weight matrix.

    Attributes
    ----------
    name : str
        Its identifier in the collection.
    tf : str
        The transcription factor; the identifier where the collection names none.
    pwm : float64 array of shape (width, 4)
        Probability of A, C, G and T at each position.
    """

    name: str
    tf: str
    pwm: NDArray[np.float64]

    @property
    def consensus(self) -> dna.Codes:
        """The likeliest base at each position, (width,) codes."""
        return self.pwm.argmax(axis=1).astype(np.int8)

    def sample(self, n: int, rng: np.random.Generator) -> dna.Codes:
        """Sequences drawn from the matrix, (n, width) codes."""
        bounds = self.pwm.cumsum(axis=1)[:, :3]
        return (rng.random((n, len(self.pwm), 1)) > bounds).sum(axis=2).astype(np.int8)


def load_motifs(source: str | os.PathLike[str], names: Sequence[str] | None = None, longest: int | None = None) -> list[Motif]:
    """Motifs of a MEME file or of a collection.

    Parameters
    ----------
    source : path or str
        A MEME file, or the name of a registered collection, as "jaspar-vertebrates".
    names : sequence of str, optional
        Only these, by identifier or by transcription factor, in any case of letters.
    longest : int, optional
        Width that no motif may exceed, in bp.

    Raises
    ------
    InputError
        No such file or collection, a malformed one, names that it does not have, or motifs that are too wide.
    """
    from scbasset_zoo.plugin_manager import motif_collections

    collections = motif_collections()
    if str(source) in collections:
        motifs = _checked(collections[str(source)](), f"The collection {source}")
    elif Path(source).is_file():
        motifs = read_meme(source)
    else:
        raise InputError(
            f"There is neither a MEME file {source} nor a motif collection of that name; there are {_some(collections)}."
        )
    if names is not None:
        motifs = choose(motifs, names, str(source))
        if not motifs:
            raise InputError(f"{source}: no motif is chosen, since the list of names is empty; without a list all are taken.")
    wide = [motif for motif in motifs if longest is not None and len(motif.pwm) > longest]
    if wide:
        raise InputError(
            f"{source}: the motif {wide[0].name} is {len(wide[0].pwm):,} bp wide; the model's sequences have {longest:,} bp."
        )
    return motifs


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
            _require_matrix(title, matrices, path)
            title = " ".join(line.split()[1:])
            if not title or title in matrices:
                raise InputError(
                    f"{path}, line {number}: {f'the motif {title} stands there twice' if title else 'MOTIF without name'}."
                )
        elif line.startswith("letter-probability matrix"):
            if not title or title in matrices:
                raise InputError(f"{path}, line {number}: a matrix without a MOTIF line of its own above it.")
            matrices[title] = _read_matrix(lines, number, f"{path}, line {number}, motif {title}")
    _require_matrix(title, matrices, path)
    if not matrices:
        raise InputError(f"{path} has no motif; expected lines that begin with 'MOTIF' and a letter-probability matrix for each.")
    return _checked(matrices, str(path))


def choose(motifs: list[Motif], names: Sequence[str], where: str) -> list[Motif]:
    """Those of some motifs that have one of these identifiers or factors, in any case of letters; each must be there."""
    wanted = {name.upper() for name in names}
    chosen = [motif for motif in motifs if wanted & {motif.name.upper(), motif.tf.upper()}]
    known = {name.upper() for motif in chosen for name in (motif.name, motif.tf)}
    missing = [name for name in names if name.upper() not in known]
    if missing:
        raise InputError(f"{where}: there is no motif {_some(missing)}; there are {_some(motif.tf for motif in motifs)}.")
    return chosen


def jaspar_collections() -> dict[str, Callable[[], Mapping[str, ArrayLike]]]:
    """JASPAR's CORE motifs of each taxon, of the newest release that pyjaspar brings, read when asked for."""
    return {f"jaspar-{taxon}": functools.partial(_jaspar, taxon) for taxon in JASPAR_TAXA}


def _jaspar(taxon: str) -> dict[str, NDArray[np.float64]]:
    from pyjaspar import jaspardb

    # An unknown release makes pyjaspar print and go on; the default is its newest.
    database = jaspardb()
    found = database.fetch_motifs(collection="CORE", tax_group=taxon)
    return {
        f"{motif.matrix_id} {motif.name}": counts / counts.sum(axis=1, keepdims=True)
        for motif in found
        for counts in [np.array([motif.counts[base] for base in dna.ALPHABET], dtype=np.float64).T]
    }


def _read_matrix(lines: Sequence[str], header: int, where: str) -> NDArray[np.float64]:
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


def _require_matrix(title: str, matrices: Mapping[str, object], path: str | os.PathLike[str]) -> None:
    if title and title not in matrices:
        raise InputError(f"{path}: the motif {title} has no letter-probability matrix. Was the file cut short?")


def _checked(matrices: Mapping[str, ArrayLike], where: str) -> list[Motif]:
    """Motifs by title ("identifier factor"), each of probabilities that sum to 1."""
    motifs: dict[str, Motif] = {}
    for title, values in matrices.items():
        pwm = np.asarray(values, dtype=np.float64)
        if pwm.ndim != 2 or pwm.shape[1] != 4 or not len(pwm):
            raise InputError(f"{where}: the matrix of {title} must be (width, 4) for A C G T; found {pwm.shape}.")
        total = pwm.sum(axis=1)
        wrong = np.flatnonzero(~((pwm >= 0).all(axis=1) & (np.abs(total - 1) <= SUM_TOLERANCE)))
        if len(wrong):
            raise InputError(
                f"{where}: position {wrong[0] + 1} of {title} must be 4 probabilities that sum to 1; found "
                f"{pwm[wrong[0]].tolist()}."
            )
        name, _, alternative = title.partition(" ")
        if name in motifs:
            raise InputError(f"{where}: two motifs have the identifier {name}. Rename one.")
        motifs[name] = Motif(name, _factor(alternative) or name, pwm / total[:, None])
    if not motifs:
        raise InputError(f"{where} has no motif.")
    return list(motifs.values())


def _factor(alternative: str) -> str:
    """A factor's symbol from an alternative name: CIS-BP's "(SPI1)_(Mus_musculus)_(DBD_1.00)", JASPAR's "FOS(var.2)"."""
    inferred = re.match(r"\(([^)]+)\)", alternative)
    return inferred[1] if inferred else re.sub(r"\(var\.\d+\)$", "", alternative)


def _some(names: Iterable[str], limit: int = 6) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit:,} more" if len(names) > limit else "")
