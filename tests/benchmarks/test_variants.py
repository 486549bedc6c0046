"""The SNVs of the benchmark of variant effects do to motifs what they say, and a well-fitted network finds them."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import scbasset_zoo as sz
from benchmarks.motif_snvs import CREATED, DESTROYED, RANDOM, RANDOM_IN_MOTIF, motif_snvs
from benchmarks.variants import WELL_FITTED
from scbasset_zoo.inputs.dna import decode
from scbasset_zoo.inputs.genome import Genome


def best_score(text, pwm):
    """Return the score of the best match of a motif on either strand that covers the middle of a text."""
    middle, scores = len(text) // 2, []
    for matrix in (pwm, pwm[::-1, ::-1]):
        log_odds = np.log2(matrix / 0.25)
        for start in range(middle - len(pwm) + 1, middle + 1):
            score = sum(log_odds[i]["ACGT".index(text[start + i])] for i in range(len(pwm)))
            scores.append(score / log_odds.max(axis=1).sum())
    return max(scores)


def test_snvs_destroy_and_create_motifs(tmp_path):
    simulation = sz.simulate(tmp_path / "simulated", n_cells=20, n_peaks=300, quiet=True)
    snvs, genome = motif_snvs(simulation, 30), Genome(simulation.genome)
    assert snvs["kind"].value_counts()[[DESTROYED, CREATED]].tolist() == [30, 30]
    assert snvs["kind"].isin([RANDOM, RANDOM_IN_MOTIF]).sum() == 60
    sites = simulation.motif_sites
    for snv in snvs.itertuples():
        text = decode(genome.codes(snv.chrom, snv.pos - 31, snv.pos + 30))
        assert text[30] == snv.ref != snv.alt
        over = sites[(sites["chrom"] == snv.chrom) & (sites["start"] < snv.pos) & (sites["end"] >= snv.pos)]
        if snv.kind in (DESTROYED, CREATED):
            assert simulation.tfs["active"][snv.tf]
            before, after = (best_score(text[:30] + base + text[31:], simulation.motifs[snv.tf]) for base in (snv.ref, snv.alt))
            assert (before if snv.kind == DESTROYED else after) > 0.7
            assert (before > after) == (snv.kind == DESTROYED)
        assert (snv.tf in set(over["tf"]) if snv.kind == DESTROYED else len(over) > 0) == (snv.kind in (DESTROYED, RANDOM_IN_MOTIF))


@pytest.mark.slow
def test_a_well_fitted_network_finds_snvs_that_destroy_or_create_motifs(tmp_path, monkeypatch):
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    simulation, model = WELL_FITTED.simulation(tmp_path), WELL_FITTED.model(tmp_path)
    snvs = motif_snvs(simulation, 300)
    result = sz.run("variant-effect", model, variants=snvs, genome=simulation.genome, quiet=True, n_logos=0)
    strongest, kind = np.asarray(result.layers["percentile"]).max(axis=0), snvs["kind"].to_numpy()
    for about_motif in (DESTROYED, CREATED):
        rows = np.isin(kind, (about_motif, RANDOM, RANDOM_IN_MOTIF))
        assert roc_auc_score(kind[rows] == about_motif, strongest[rows]) >= 0.9
