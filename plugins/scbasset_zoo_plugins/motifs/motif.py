"""A motif: its names and its position weight matrix (PWM)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo import InputError
from scbasset_zoo.extend import sequences as dna

# Published matrices are rounded: the columns of CIS-BP sum to 1 within 2e-6, those of older collections within one per cent.
SUM_TOLERANCE = 0.02


@dataclass(frozen=True)
class Motif:
    """The motif of a transcription factor.

    Attributes
    ----------
    name : str
        Identifier in its file or collection.
    tf : str
        The transcription factor, or the identifier if no factor is named.
    pwm : float64 array (width, 4)
        Probability of A, C, G and T at each position.
    """

    name: str
    tf: str
    pwm: NDArray[np.float64]

    @property
    def consensus(self) -> dna.Codes:
        """The most probable base at each position, codes (width,)."""
        return self.pwm.argmax(axis=1).astype(np.int8)

    def sample(self, n: int, rng: np.random.Generator) -> dna.Codes:
        """Draw n sequences from the PWM, codes (n, width)."""
        bounds = self.pwm.cumsum(axis=1)[:, :3]
        return (rng.random((n, len(self.pwm), 1)) > bounds).sum(axis=2).astype(np.int8)


def checked_motifs(matrices: Mapping[str, ArrayLike], where: str) -> list[Motif]:
    """Check matrices and make motifs of them.

    Parameters
    ----------
    matrices : mapping of str to array (width, 4)
        Probabilities of A C G T at each position, by title: "identifier factor", or "identifier".
    where : str
        The file or collection, for error messages.

    Returns
    -------
    list of Motif
        With probabilities that are scaled to sum to 1.

    Raises
    ------
    InputError
        There is no matrix, a matrix has another shape, its rows are not probabilities that sum to 1 within 0.02, or an
        identifier occurs twice.
    """
    motifs: dict[str, Motif] = {}
    for title, values in matrices.items():
        pwm = np.asarray(values, dtype=np.float64)
        if pwm.ndim != 2 or pwm.shape[1] != 4 or not len(pwm):
            raise InputError(f"{where}: the matrix of {title} must be (width, 4) for A C G T; found {pwm.shape}.")
        total = pwm.sum(axis=1)
        wrong = np.flatnonzero(~((pwm >= 0).all(axis=1) & (np.abs(total - 1) <= SUM_TOLERANCE)))
        if len(wrong):
            raise InputError(
                f"{where}: position {wrong[0] + 1} of {title} must be 4 probabilities that sum to 1 within {SUM_TOLERANCE}; found "
                f"{pwm[wrong[0]].tolist()}.{_hint(pwm)}"
            )
        name, _, alternative = title.partition(" ")
        if name in motifs:
            raise InputError(f"{where}: two motifs have the identifier {name}. Rename one.")
        motifs[name] = Motif(name, _factor(alternative) or name, pwm / total[:, None])
    if not motifs:
        raise InputError(f"{where} has no motif.")
    return list(motifs.values())


def _hint(matrix: NDArray[np.float64]) -> str:
    """Say what a matrix may be that has no probabilities."""
    if (matrix < 0).any():
        return " They may be log-odds: give probabilities."
    if np.isfinite(matrix).all() and (matrix.sum(axis=1) > 1 + SUM_TOLERANCE).all():
        return " They may be counts: divide each by the sum of its position."
    return ""


def _factor(alternative: str) -> str:
    """Return the factor of an alternative name.

    CIS-BP writes "(SPI1)_(Mus_musculus)_(DBD_1.00)" for SPI1, older releases of JASPAR "FOS(var.2)" for FOS.
    """
    in_brackets = re.match(r"\(([^)]+)\)", alternative)
    return in_brackets[1] if in_brackets else re.sub(r"\(var\.\d+\)$", "", alternative)


def some_names(names: Iterable[str], limit: int = 6) -> str:
    """List the first names for a message, and count the others."""
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit:,} more" if len(names) > limit else "")
