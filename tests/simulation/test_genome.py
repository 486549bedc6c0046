"""The simulated genome: planted motifs, their strengths, and the index."""

import math

import numpy as np
import pytest
from Bio import SeqIO
from pyfaidx import Fasta

from scbasset_zoo.simulation.simulate import simulate

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def test_planted_motifs_stand_in_the_genome_at_their_places_and_strands(simulation):
    genome = {record.id: str(record.seq) for record in SeqIO.parse(simulation.genome, "fasta")}
    sites = simulation.motif_sites
    assert set(sites["strand"]) == {"+", "-"}
    assert set(sites["tf"]) == set(simulation.motifs)
    for site in sites.sample(1500, random_state=0).itertuples():
        pwm = simulation.motifs[site.tf]
        letters = genome[site.chrom][site.start : site.end]
        if site.strand == "-":
            letters = letters.translate(COMPLEMENT)[::-1]
        assert len(letters) == len(pwm)
        log_odds = sum(math.log2(pwm[i]["ACGT".index(letter)] / 0.25) for i, letter in enumerate(letters))
        best = sum(math.log2(max(column) / 0.25) for column in pwm)
        assert site.score == pytest.approx(max(log_odds / best, 0), abs=1e-5)
    assert sites["score"].mean() > 0.7


def test_strengths_are_the_summed_scores_of_the_sites(simulation):
    summed = simulation.motif_sites.pivot_table(index="peak", columns="tf", values="score", aggfunc="sum")
    summed = summed.reindex(index=simulation.strengths.index, columns=simulation.strengths.columns).fillna(0)
    np.testing.assert_allclose(simulation.strengths, summed, atol=1e-5)
    counts = simulation.motif_sites.groupby(["peak", "tf"]).size()
    assert counts.max() <= 3
    assert 0.35 < len(counts) / simulation.strengths.size < 0.45  # 1 - 0.98^25 = 0.397


def test_windows_do_not_overlap_and_sites_lie_in_their_peak(tmp_path):
    simulation = simulate(tmp_path / "s", n_cells=6, n_peaks=3_020, quiet=True)
    peaks = simulation.peaks
    assert (peaks["end"] - peaks["start"] == 500).all()
    assert peaks["chr"].value_counts().to_dict() == {"chrS1": 3_000, "chrS2": 20}
    genome = Fasta(str(simulation.genome))
    for chromosome, its_peaks in peaks.groupby("chr", observed=True):
        centres = ((its_peaks["start"] + its_peaks["end"]) // 2).to_numpy()
        assert (np.diff(centres) >= 1_344 + 2 * 8).all()
        assert centres[0] >= 672 + 8
        assert centres[-1] + 672 + 8 <= len(genome[chromosome])
        assert len(set(np.diff(centres))) > 5
    sites = simulation.motif_sites
    of = peaks.loc[sites["peak"]]
    assert (sites["chrom"].to_numpy() == of["chr"].astype(str).to_numpy()).all()
    assert (sites["start"].to_numpy() >= of["start"].to_numpy() + 50).all()
    assert (sites["end"].to_numpy() <= of["end"].to_numpy() - 50).all()
    for _, its_sites in sites.groupby("chrom"):
        assert (its_sites["start"].to_numpy()[1:] >= its_sites["end"].to_numpy()[:-1]).all()


def test_the_index_beside_the_genome_is_right(simulation):
    genome = {record.id: str(record.seq) for record in SeqIO.parse(simulation.genome, "fasta")}
    index = simulation.genome.with_name("genome.fa.fai")
    assert index.stat().st_mtime_ns >= simulation.genome.stat().st_mtime_ns
    indexed = Fasta(str(simulation.genome), rebuild=False, build_index=False)
    assert {record.name: len(record) for record in indexed} == {name: len(s) for name, s in genome.items()}
    assert str(indexed["chrS1"][123_456:123_999]) == genome["chrS1"][123_456:123_999]
