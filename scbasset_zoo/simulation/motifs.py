"""The motifs of the simulated transcription factors."""

from __future__ import annotations

import numpy as np
from Bio.Data.IUPACData import ambiguous_dna_values
from numpy.typing import NDArray

from scbasset_zoo.inputs.dna import ALPHABET

CONSENSUS_SHARE = 0.94  # probability, in a PWM column, of the bases of the consensus letter together


def motif_pwm(consensus: str) -> NDArray[np.float64]:
    """Return the PWM of a consensus sequence of IUPAC letters: probabilities of A C G T, (length, 4)."""
    columns = []
    for letter in consensus:
        allowed = np.isin(list(ALPHABET), list(ambiguous_dna_values[letter]))
        if allowed.all():
            columns.append(np.full(4, 0.25))
        else:
            columns.append(np.where(allowed, CONSENSUS_SHARE / allowed.sum(), (1 - CONSENSUS_SHARE) / (~allowed).sum()))
    return np.stack(columns)


def meme_text(motifs: dict[str, NDArray[np.float64]]) -> str:
    """Return motifs in the format of MEME, version 4."""
    lines = ["MEME version 4", "", f"ALPHABET= {ALPHABET}", "", "strands: + -", ""]
    lines += ["Background letter frequencies", " ".join(f"{base} 0.25" for base in ALPHABET), ""]
    for tf, pwm in motifs.items():
        lines.append(f"MOTIF {tf}")
        lines.append(f"letter-probability matrix: alength= 4 w= {len(pwm)} nsites= 100 E= 0")
        lines += [" ".join(f"{p:.6f}" for p in column) for column in pwm]
        lines.append("")
    return "\n".join(lines)
