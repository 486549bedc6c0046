"""A motif: its position weight matrix, checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo import InputError
from scbasset_zoo.extend import sequences as dna

# Published matrices are rounded: CIS-BP's columns sum to 1 within 2e-6, older ones within a per cent.
SUM_TOLERANCE = 0.02


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


def checked_motifs(matrices: Mapping[str, ArrayLike], where: str) -> list[Motif]:
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


def some_names(names: Iterable[str], limit: int = 6) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit:,} more" if len(names) > limit else "")
