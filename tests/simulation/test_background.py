"""Background sequence from a FASTA."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from Bio import SeqIO
from helpers.twobit import write_twobit

from scbasset_zoo.errors import InputError
from scbasset_zoo.simulation.simulate import simulate


def write_fasta(path: Path, **records: str) -> Path:
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in records.items()))
    return path


def test_own_background_is_used_around_n_and_then_shuffled(tmp_path):
    letters = "".join(np.random.default_rng(0).choice(list("ACGT"), 4_300, p=[0.4, 0.1, 0.1, 0.4]))
    fasta = write_fasta(tmp_path / "own.fa", short="ACGT" * 100, own=letters[:1_450] + "NNN" + letters[1_450:].lower())
    simulation = simulate(tmp_path / "s", n_cells=6, n_peaks=9, genome=fasta, quiet=True)
    records = {record.id: str(record.seq) for record in SeqIO.parse(fasta, "fasta")}
    other = simulate(tmp_path / "t", n_cells=6, n_peaks=9, genome=write_twobit(tmp_path / "own.2bit", records), quiet=True)
    assert other.genome.read_bytes() == simulation.genome.read_bytes()
    genome = str(next(SeqIO.parse(simulation.genome, "fasta")).seq)
    assert len(genome) == 9 * 1_400
    flanks = [genome[row * 1_400 : row * 1_400 + 470] for row in range(9)]  # before the first motif
    assert flanks[0] == letters[:470]
    assert flanks[1] == letters[1_450:1_920]
    assert flanks[2] == letters[2_850:3_320]
    assert len(set(flanks)) == 9
    pairs = [Counter(a + b for a, b in zip(flank, flank[1:], strict=False)) for flank in flanks]
    for row in range(3, 9):
        share = sum(pairs[row][pair] for pair in ("AA", "AT", "TA", "TT")) / 469
        assert share == pytest.approx(0.64, abs=0.12)


def test_a_background_without_usable_sequence_is_refused(tmp_path):
    fasta = write_fasta(tmp_path / "n.fa", a="ACGT" * 300, b=("ACGT" * 300 + "N") * 5)
    with pytest.raises(InputError, match=r"n\.fa has no 1,400 bp in a row without N"):
        simulate(tmp_path / "s", genome=fasta, quiet=True)
    with pytest.raises(InputError, match=r"none\.fa does not exist"):
        simulate(tmp_path / "s", genome=tmp_path / "none.fa", quiet=True)
    (tmp_path / "cut.fa.gz").write_bytes(b"\x1f\x8b" + bytes(50))
    with pytest.raises(InputError, match=r"cut\.fa\.gz is not a FASTA file"):
        simulate(tmp_path / "s", genome=tmp_path / "cut.fa.gz", quiet=True)
    damaged = bytearray(gzip.compress(b">a\n" + b"ACGT" * 1_000))
    damaged[20:30] = bytes(10)
    (tmp_path / "damaged.fa.gz").write_bytes(damaged)
    with pytest.raises(InputError, match=r"damaged\.fa\.gz is not a FASTA file"):
        simulate(tmp_path / "s", genome=tmp_path / "damaged.fa.gz", quiet=True)
    assert not (tmp_path / "s").exists()
