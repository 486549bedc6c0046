"""The simulator: what it writes is what its truth says."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections import Counter
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import typer
from Bio import SeqIO
from Bio import motifs as bio_motifs
from pyfaidx import Fasta
from typer.testing import CliRunner

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import sha256
from scbasset_zoo.simulation.accessibility import expected_auroc
from scbasset_zoo.simulation.control import shuffle_labels
from scbasset_zoo.simulation.experiment import load_simulation
from scbasset_zoo.simulation.simulate import simulate

COMPLEMENT = str.maketrans("ACGT", "TGCA")
SMALL = {"n_cells": 300, "n_peaks": 800, "density": 0.12, "seed": 3, "quiet": True}


@pytest.fixture(scope="module")
def simulation(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("simulate") / "simulation", **SMALL)


@pytest.fixture(scope="module")
def matrix(simulation):
    return ad.read_h5ad(simulation.matrix)


@pytest.fixture(scope="module")
def batched(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("simulate") / "batched", **{**SMALL, "n_batches": 3})


def naive_probabilities(folder: Path) -> np.ndarray:
    """The formula of the folder's README, in float64 and from the files alone."""
    truth = ad.read_h5ad(folder / "truth.h5ad")
    strengths = pd.read_parquet(folder / "strengths.parquet")
    base = ad.read_h5ad(folder / "matrix.h5ad").var["base_logit"].to_numpy(np.float64)
    intercept = json.loads((folder / "simulation.json").read_text())["intercept"]
    logits = truth.X.astype(np.float64) @ strengths[truth.var_names].to_numpy(np.float64).T
    logits += intercept + base + np.log(truth.obs["depth"].to_numpy(np.float64))[:, None]
    return 1 / (1 + np.exp(-logits))


def test_the_matrix_is_cells_by_peaks_of_zeros_and_ones(matrix):
    assert matrix.shape == (300, 800)
    assert sp.issparse(matrix.X)
    assert matrix.X.format == "csr"
    assert matrix.X.dtype == np.uint8
    assert (matrix.X.data == 1).all()
    for first, end in zip(matrix.X.indptr[:-1], matrix.X.indptr[1:], strict=True):
        assert (np.diff(matrix.X.indices[first:end]) > 0).all()
    assert {"chr", "start", "end"} <= set(matrix.var.columns)
    assert {"cell_type", "depth"} <= set(matrix.obs.columns)
    assert matrix.obs_names.is_unique
    assert matrix.var_names.is_unique
    assert matrix.obs["cell_type"].value_counts().to_dict() == dict.fromkeys(["HSC", "MPP", "CMP", "GMP", "MEP", "CLP"], 50)


def test_the_same_seed_gives_the_same_data_and_another_seed_other_data(simulation, tmp_path):
    again, other = (simulate(tmp_path / str(seed), **{**SMALL, "seed": seed}) for seed in (3, 4))
    assert sha256(again.fasta) == sha256(simulation.fasta) != sha256(other.fasta)
    pd.testing.assert_frame_equal(again.activities, simulation.activities)
    pd.testing.assert_frame_equal(again.motif_sites, simulation.motif_sites)
    matrices = [ad.read_h5ad(s.matrix).X for s in (simulation, again, other)]
    assert (matrices[0] != matrices[1]).nnz == 0
    assert (matrices[0] != matrices[2]).nnz > 0


@pytest.mark.parametrize("density", [0.02, 0.12, 0.5])
def test_density_is_as_asked(tmp_path, density):
    simulation = simulate(tmp_path / "s", n_cells=400, n_peaks=1000, density=density, quiet=True)
    # 400,000 draws: three standard errors are 3.3 % of 0.02, and less of the others
    assert ad.read_h5ad(simulation.matrix).X.mean() == pytest.approx(density, rel=0.035)
    assert simulation.parameters["density"] == pytest.approx(ad.read_h5ad(simulation.matrix).X.mean(), rel=1e-6)


def test_planted_motifs_stand_in_the_genome_at_their_places_and_strands(simulation):
    genome = {record.id: str(record.seq) for record in SeqIO.parse(simulation.fasta, "fasta")}
    sites = simulation.motif_sites
    assert set(sites["strand"]) == {"+", "-"}
    assert set(sites["tf"]) == set(simulation.motifs)
    for site in sites.sample(1500, random_state=0).itertuples():
        pwm = simulation.motifs[site.tf]
        letters = genome[site.chrom][site.start : site.end]
        if site.strand == "-":
            letters = letters.translate(COMPLEMENT)[::-1]
        assert len(letters) == len(pwm)
        found = sum(math.log2(pwm[i]["ACGT".index(letter)] / 0.25) for i, letter in enumerate(letters))
        best = sum(math.log2(max(column) / 0.25) for column in pwm)
        assert site.score == pytest.approx(max(found / best, 0), abs=1e-5)
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
    genome = Fasta(str(simulation.fasta))
    for chromosome, here in peaks.groupby("chr", observed=True):
        centres = ((here["start"] + here["end"]) // 2).to_numpy()
        assert (np.diff(centres) >= 1_344 + 2 * 8).all()
        assert centres[0] >= 672 + 8
        assert centres[-1] + 672 + 8 <= len(genome[chromosome])
        assert len(set(np.diff(centres))) > 5
    sites = simulation.motif_sites
    of = peaks.loc[sites["peak"]]
    assert (sites["chrom"].to_numpy() == of["chr"].astype(str).to_numpy()).all()
    assert (sites["start"].to_numpy() >= of["start"].to_numpy() + 50).all()
    assert (sites["end"].to_numpy() <= of["end"].to_numpy() - 50).all()
    for _, here in sites.groupby("chrom"):
        assert (here["start"].to_numpy()[1:] >= here["end"].to_numpy()[:-1]).all()


def test_the_index_beside_the_genome_is_right(simulation):
    genome = {record.id: str(record.seq) for record in SeqIO.parse(simulation.fasta, "fasta")}
    index = simulation.fasta.with_name("genome.fa.fai")
    assert index.stat().st_mtime_ns >= simulation.fasta.stat().st_mtime_ns
    indexed = Fasta(str(simulation.fasta), rebuild=False, build_index=False)
    assert {record.name: len(record) for record in indexed} == {name: len(s) for name, s in genome.items()}
    assert str(indexed["chrS1"][123_456:123_999]) == genome["chrS1"][123_456:123_999]


def test_peaks_are_open_as_often_as_their_true_probability_says(simulation, matrix):
    probabilities = naive_probabilities(simulation.folder)
    np.testing.assert_allclose(simulation.probabilities(slice(0, 50)), probabilities[:50], atol=1e-5)
    is_open = matrix.X.toarray()
    groups = np.digitize(probabilities, np.quantile(probabilities, np.linspace(0, 1, 21)[1:-1]))
    for group in range(20):
        p, y = probabilities[groups == group], is_open[groups == group]
        assert abs(y.sum() - p.sum()) < 4 * math.sqrt((p * (1 - p)).sum())
    for axis in (0, 1):
        z = (is_open.sum(axis) - probabilities.sum(axis)) / np.sqrt((probabilities * (1 - probabilities)).sum(axis))
        assert 0.85 < z.std() < 1.15
        assert abs(z.mean()) < 0.2


def motif_effects(simulation, matrix) -> pd.DataFrame:
    """By type and TF: log odds of open peaks with the TF's motif less that without."""
    effects = {}
    for cell_type in simulation.type_activities.index:
        is_open = matrix.X[(matrix.obs["cell_type"] == cell_type).to_numpy()]
        rate = np.asarray(is_open.mean(axis=0)).ravel()
        has = simulation.strengths > 0
        odds = {tf: [rate[has[tf] == which].mean() for which in (True, False)] for tf in has.columns}
        effects[cell_type] = {tf: math.log(a / (1 - a) * (1 - b) / b) for tf, (a, b) in odds.items()}
    return pd.DataFrame(effects).T


def test_peaks_with_a_motif_open_with_the_activity_of_its_tf_and_inactive_tfs_do_not_matter(simulation, matrix):
    effects, activity = motif_effects(simulation, matrix), simulation.type_activities
    changing = activity.columns[activity.max() - activity.min() > 1.0]
    assert len(changing) >= 8
    for tf in changing:
        assert np.corrcoef(effects[tf], activity[tf])[0, 1] > 0.9, tf
    inactive = simulation.tfs.index[~simulation.tfs["active"]]
    assert {"HNF4A", "MYOD1", "HSF1"} <= set(inactive)
    assert (simulation.activities[inactive] == 0).all(axis=None)
    assert effects[inactive].std().max() < 0.6 * effects[changing].std().min()
    assert effects["MYB"].mean() > 0.5 > effects[inactive].mean().abs().max()


def test_daughter_types_resemble_their_parent(simulation):
    activity = simulation.type_activities
    distance = pd.DataFrame(
        np.linalg.norm(activity.to_numpy()[:, None] - activity.to_numpy()[None], axis=2), activity.index, activity.index
    )
    for daughter, parent in {"MPP": "HSC", "CMP": "MPP", "GMP": "CMP", "MEP": "CMP", "CLP": "MPP"}.items():
        assert distance.loc[daughter, parent] < distance.to_numpy().max() / 1.2
    assert distance.loc["GMP", "MEP"] > distance.loc["GMP", "CMP"]
    by_type = simulation.activities.groupby(simulation.cells["cell_type"], observed=True)
    np.testing.assert_allclose(by_type.mean(), activity, atol=0.15)
    assert by_type.std()["GATA1"].loc["MEP"] > by_type.std()["GATA1"].loc["HSC"]


def test_batches_differ_in_depth_and_in_the_stress_motif_and_are_spread_over_types(batched):
    cells = batched.cells
    assert (pd.crosstab(cells["cell_type"], cells["batch"]) > 0).all(axis=None)
    assert cells["batch"].value_counts().tolist() == [100, 100, 100]
    log_depth = np.log(cells["depth"]).groupby(cells["batch"], observed=True).mean()
    assert log_depth["batch3"] - log_depth["batch1"] == pytest.approx(0.6, abs=4 * 0.4 * math.sqrt(2 / 100))
    assert batched.tfs.loc["HSF1", "active"]
    has = (batched.strengths["HSF1"] > 0).to_numpy()
    matrix = ad.read_h5ad(batched.matrix)
    ratio = {}
    for batch in ("batch1", "batch3"):
        rate = np.asarray(matrix.X[(matrix.obs["batch"] == batch).to_numpy()].mean(axis=0)).ravel()
        ratio[batch] = rate[has].mean() / rate[~has].mean()
    assert ratio["batch3"] > 1.5 * ratio["batch1"]


def test_without_batches_there_is_no_batch_column(simulation):
    assert "batch" not in simulation.cells


def test_no_signal_leaves_the_peaks_blind_to_the_cell_type(tmp_path):
    simulation = simulate(tmp_path / "s", **{**SMALL, "signal": 0})
    assert (simulation.strengths == 0).all(axis=None)
    assert len(simulation.motif_sites) > 0
    assert simulation.parameters["best_auroc_from_sequence"] == pytest.approx(0.5, abs=0.01)


def test_signal_scales_strengths(simulation, tmp_path):
    double = simulate(tmp_path / "s", **{**SMALL, "signal": 2})
    np.testing.assert_allclose(double.strengths, 2 * simulation.strengths, rtol=1e-6)
    assert sha256(double.fasta) == sha256(simulation.fasta)


def type_signal(matrix: sp.csr_matrix, types: pd.Series) -> float:
    """Mean over peaks of chi-squared of open by type, over its degrees of freedom: 1 where types do not matter."""
    matrix = matrix[:, matrix.getnnz(axis=0) > 0]
    depth = matrix.getnnz(axis=1)
    share = np.array([depth[(types == t).to_numpy()].sum() for t in types.cat.categories]) / depth.sum()
    observed = np.stack([matrix[(types == t).to_numpy()].getnnz(axis=0) for t in types.cat.categories])
    expected = share[:, None] * observed.sum(axis=0)
    return float(((observed - expected) ** 2 / expected).sum(axis=0).mean() / (len(share) - 1))


def test_shuffled_labels_keep_each_cells_depth_and_lose_the_cell_types(matrix):
    before = matrix.X.copy()
    shuffled = shuffle_labels(matrix, seed=1)
    assert (before != matrix.X).nnz == 0
    assert shuffled.X.format == "csr"
    assert shuffled.X.dtype == before.dtype
    assert shuffled.X.has_canonical_format
    np.testing.assert_array_equal(shuffled.X.getnnz(axis=1), before.getnnz(axis=1))
    assert (shuffled.X.data == 1).all()
    assert type_signal(before, matrix.obs["cell_type"]) > 1.6
    assert 0.7 < type_signal(shuffled.X, matrix.obs["cell_type"]) < 1.05
    # peaks lose their own openness too
    assert shuffled.X.getnnz(axis=0).std() < 1.2 * math.sqrt(300 * 0.12 * 0.88)
    assert (shuffle_labels(matrix, seed=1).X != shuffled.X).nnz == 0
    assert (shuffle_labels(matrix, seed=2).X != shuffled.X).nnz > 0


def test_shuffled_labels_keep_counts_and_take_backed_matrices(simulation, matrix):
    backed = shuffle_labels(ad.read_h5ad(simulation.matrix, backed="r"), seed=1)
    assert (backed.X != shuffle_labels(matrix, seed=1).X).nnz == 0
    counts = ad.AnnData(sp.csr_matrix(np.array([[0, 5, 0, 7], [1, 0, 0, 0]])))
    assert [sorted(row[row > 0]) for row in shuffle_labels(counts).X.toarray()] == [[5, 7], [1]]


def test_motif_file_opens_in_biopython(simulation):
    with (simulation.folder / "motifs.meme").open() as file:
        parsed = {motif.name.split()[0]: motif for motif in bio_motifs.parse(file, "minimal")}
    assert set(parsed) == set(simulation.motifs)
    for name, pwm in simulation.motifs.items():
        np.testing.assert_allclose(np.array([parsed[name].pwm[base] for base in "ACGT"]).T, pwm, atol=1e-2)
        np.testing.assert_allclose(pwm.sum(axis=1), 1, atol=1e-12)


def test_default_size_is_realistic_and_learnable(tmp_path):
    simulation = simulate(tmp_path / "s", quiet=True)
    assert 0.85 < simulation.parameters["best_auroc_from_sequence"] < simulation.parameters["best_auroc"] < 0.92


def test_expected_auroc_equals_counting_pairs():
    rng = np.random.default_rng(0)
    scores, p = rng.normal(size=(2, 40)), rng.random((2, 40))
    expected = []
    for s, q in zip(scores, p, strict=True):
        right = total = 0.0
        for i in range(40):
            for j in range(40):
                if i != j:
                    weight = q[i] * (1 - q[j])
                    right += weight * (s[i] > s[j])
                    total += weight
        expected.append(right / total)
    assert expected_auroc(scores, p) == pytest.approx(np.mean(expected), abs=1e-12)


def write_fasta(path: Path, **records: str) -> Path:
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in records.items()))
    return path


def test_own_background_is_used_around_n_and_then_shuffled(tmp_path):
    letters = "".join(np.random.default_rng(0).choice(list("ACGT"), 4_300, p=[0.4, 0.1, 0.1, 0.4]))
    fasta = write_fasta(tmp_path / "own.fa", short="ACGT" * 100, own=letters[:1_450] + "NNN" + letters[1_450:].lower())
    simulation = simulate(tmp_path / "s", n_cells=6, n_peaks=9, fasta=fasta, quiet=True)
    genome = str(next(SeqIO.parse(simulation.fasta, "fasta")).seq)
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


def test_all_types_of_the_lineage_can_be_had(tmp_path):
    simulation = simulate(tmp_path / "s", n_cells=32, n_types=16, n_peaks=50, quiet=True)
    assert simulation.cells["cell_type"].value_counts().tolist() == [2] * 16
    assert (simulation.type_activities > -0.2).all(axis=None)
    assert set(simulation.tfs.index[~simulation.tfs["active"]]) == {
        "HSF1",
        "HNF1A",
        "HNF4A",
        "ESR1",
        "MYOD1",
        "SOX2",
        "FOXA1",
    }


def test_a_simulation_loads_again(simulation):
    loaded = load_simulation(simulation.folder)
    assert loaded == simulation
    assert loaded.assembly == "simulated"
    assert loaded.activities.shape == (300, len(loaded.motifs))
    assert list(loaded.activities.index) == list(loaded.cells.index)
    assert list(loaded.strengths.index) == list(loaded.peaks.index)


def test_a_folder_that_is_no_simulation_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"simulation\.json"):
        load_simulation(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_types": 17}, "n_types must lie in 1..16"),
        ({"n_types": 0}, "n_types must lie in 1..16"),
        ({"n_cells": 5}, "5 cells cannot cover 6 cell types"),
        ({"n_batches": 1}, "n_batches must be 0"),
        ({"n_batches": -1}, "n_batches must be 0"),
        ({"n_batches": 301}, "cannot cover 301 batches"),
        ({"n_peaks": 1}, "n_peaks must be 2 or more"),
        ({"density": 0.0}, "density must be over 0"),
        ({"density": 0.51}, "density must be over 0"),
        ({"density": float("nan")}, "density must be over 0"),
        ({"signal": -1}, "signal must be 0 or more"),
        ({"signal": float("inf")}, "signal must be 0 or more"),
        ({"peak_width": 1_345}, "peak_width must lie in"),
        ({"seed": -1}, "seed must be 0 or more"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, wrong, message):
    with pytest.raises(InputError, match=message):
        simulate(tmp_path / "s", **{**SMALL, **wrong})
    assert list(tmp_path.iterdir()) == []


def test_a_background_without_usable_sequence_is_refused(tmp_path):
    fasta = write_fasta(tmp_path / "n.fa", a="ACGT" * 300, b=("ACGT" * 300 + "N") * 5)
    with pytest.raises(InputError, match=r"n\.fa has no 1,400 bp in a row without N"):
        simulate(tmp_path / "s", fasta=fasta, quiet=True)
    with pytest.raises(InputError, match=r"none\.fa does not exist"):
        simulate(tmp_path / "s", fasta=tmp_path / "none.fa", quiet=True)
    (tmp_path / "cut.fa.gz").write_bytes(b"\x1f\x8b" + bytes(50))
    with pytest.raises(InputError, match=r"cut\.fa\.gz is not a FASTA file"):
        simulate(tmp_path / "s", fasta=tmp_path / "cut.fa.gz", quiet=True)
    assert not (tmp_path / "s").exists()


def test_what_is_there_is_replaced_only_when_asked(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        simulate(tmp_path / "s", n_cells=6, n_peaks=10, quiet=True)
    with pytest.raises(InputError, match="something else"):
        simulate(tmp_path / "s", n_cells=6, n_peaks=10, overwrite=True, quiet=True)
    assert (tmp_path / "s" / "mine.txt").read_text() == "mine"
    (tmp_path / "s" / "simulation.json").write_text("{}")
    simulate(tmp_path / "s", n_cells=6, n_peaks=10, overwrite=True, quiet=True)
    assert not (tmp_path / "s" / "mine.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_many_cells_are_written_in_chunks_within_memory(tmp_path):
    tracemalloc.start()
    try:
        simulation = simulate(tmp_path / "s", n_cells=50_000, n_peaks=500, density=0.05, quiet=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50_000 * 500 * 4  # one dense float32 copy of the matrix
    with h5py.File(simulation.matrix) as file:
        indptr, n_ones = file["X/indptr"][:], len(file["X/indices"])
    assert len(indptr) == 50_001
    assert indptr[-1] == n_ones
    assert indptr.dtype == np.int64
    last = np.arange(45_000, 50_000)
    rate = np.diff(indptr)[last] / 500
    assert np.corrcoef(rate, simulation.probabilities(last).mean(axis=1))[0, 1] > 0.8


def test_command_line(tmp_path):
    from scbasset_zoo.cli.simulate import simulate as command

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(tmp_path / "s"), "--n-cells", "20", "--n-peaks", "60", "--n-batches", "2", "--seed", "5"])
    assert result.exit_code == 0, result.output
    assert "20 cells of 6 types, 2 batches x 60 peaks" in result.stdout
    assert "scbasset-zoo prepare" in result.stdout
    asked = load_simulation(tmp_path / "s").parameters["asked"]
    assert (asked["n_cells"], asked["n_peaks"], asked["n_batches"], asked["seed"]) == (20, 60, 2, 5)
