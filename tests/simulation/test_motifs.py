"""The motif file."""

import numpy as np
from Bio import motifs as bio_motifs


def test_motif_file_opens_in_biopython(simulation):
    with (simulation.folder / "motifs.meme").open() as file:
        parsed = {motif.name.split()[0]: motif for motif in bio_motifs.parse(file, "minimal")}
    assert set(parsed) == set(simulation.motifs)
    for name, pwm in simulation.motifs.items():
        np.testing.assert_allclose(np.array([parsed[name].pwm[base] for base in "ACGT"]).T, pwm, atol=1e-2)
        np.testing.assert_allclose(pwm.sum(axis=1), 1, atol=1e-12)
