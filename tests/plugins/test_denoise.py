"""Denoised accessibility is the logits without the depth; its agreement with labels and RNA is what others compute."""

import gzip
from itertools import permutations

import anndata as ad
import numpy as np
import onnxruntime
import pandas as pd
import pytest
from helpers import toy
from helpers.gtf import GTF_LINE
from helpers.planted import planted_package
from scbasset_zoo_plugins.denoise.agreement import Correlations, Profiles, chance_of_mean_correlation, rank_distances
from scbasset_zoo_plugins.denoise.analysis import Denoise
from scipy import sparse
from scipy.spatial.distance import pdist, squareform
from scipy.special import expit
from scipy.stats import pearsonr
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

import scbasset_zoo as sz
from scbasset_zoo.inputs import dna
from scbasset_zoo.inputs.genome import Genome

N_CELLS, N_PEAKS = 60, 40


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return sz.open_model(toy.toy_package(tmp_path_factory.mktemp("denoise") / "toy", n_cells=N_CELLS).folder, "cpu")


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


@pytest.fixture(scope="module")
def peaks():
    return toy.toy_peaks(N_PEAKS, seed=3)[["chrom", "start", "end"]]


@pytest.fixture(scope="module")
def whole_logits(model, genome, peaks):
    """Logits of plain ONNX Runtime, (cells, peaks)."""
    session = onnxruntime.InferenceSession(str(model.package.folder / "model.onnx"), providers=["CPUExecutionProvider"])
    centres = (peaks["start"] + peaks["end"]).to_numpy() // 2
    windows = Genome(genome).windows(peaks["chrom"].to_numpy(), centres - 672, 1344)
    return session.run(["logits"], {"sequence": dna.one_hot(windows)})[0].T


@pytest.fixture(scope="module")
def logits(model, whole_logits):
    """Logits less the depth of the model, (cells, peaks)."""
    return whole_logits - model.depth[:, None]


@pytest.fixture(scope="module")
def probabilities(model, logits):
    """Probabilities in cells that all have the mean depth, (cells, peaks)."""
    return expit(logits + model.depth.mean())


@pytest.fixture(scope="module")
def counts(peaks):
    """50 of the cells in another order."""
    rng = np.random.default_rng(0)
    barcodes = [f"cell-{i}" for i in rng.permutation(N_CELLS)[:50]]
    var = peaks.set_axis([f"peak-{i}" for i in range(N_PEAKS)])
    return ad.AnnData(sparse.csr_matrix(rng.poisson(0.4, (50, N_PEAKS))), obs=pd.DataFrame(index=barcodes), var=var)


@pytest.fixture(scope="module")
def gtf(tmp_path_factory, peaks):
    """A gene whose start is each fifth peak's, on either strand."""
    path = tmp_path_factory.mktemp("gtf") / "genes.gtf.gz"
    with gzip.open(path, "wt") as file:
        file.write("#!genome-build toy\n")
        for i in range(0, N_PEAKS, 5):
            chrom, start, _ = peaks.iloc[i]
            plus = i % 2 == 0
            first, last = (start + 1, start + 5_000) if plus else (max(1, start - 5_000), start + 1)
            file.write(GTF_LINE.format(chrom, "gene", first, last, "+-"[not plus], f"ENSG{i}.1", f"NAME{i}"))
            file.write(GTF_LINE.format(chrom, "transcript", 1, 2, "+", f"ENSG{i}.1", f"NAME{i}"))
    return path


@pytest.fixture(scope="module")
def rna(tmp_path_factory):
    """All cells but five, one gene that the GTF has not, one that never varies; on disk."""
    rng = np.random.default_rng(1)
    names = ["OTHER", *(f"NAME{i}" for i in range(0, N_PEAKS, 5))][::-1]
    x = rng.random((55, len(names))) * (rng.random((55, len(names))) < 0.7)
    x[:, 2] = 1
    barcodes = [f"cell-{i}" for i in rng.permutation(N_CELLS)[:55]]
    path = tmp_path_factory.mktemp("rna") / "rna.h5ad"
    ad.AnnData(sparse.csr_matrix(x), obs=pd.DataFrame(index=barcodes), var=pd.DataFrame(index=names)).write_h5ad(path)
    return path


def naive_gene_scores(values, gtf, peaks):
    """Mean over peaks within 2 kb of each gene's start, gene by gene and peak by peak; genes without peaks are left out."""
    found = {}
    for line in gzip.decompress(gtf.read_bytes()).decode().splitlines():
        fields = line.split("\t")
        if len(fields) < 9 or fields[2] != "gene":
            continue
        tss = int(fields[3]) - 1 if fields[6] == "+" else int(fields[4]) - 1
        near = [
            i
            for i, (chrom, start, end) in enumerate(peaks.itertuples(index=False))
            if chrom == fields[0] and any(abs(base - tss) <= 2_000 for base in (start, end - 1, min(max(tss, start), end - 1)))
        ]
        if near:
            found[fields[8].split('"')[3]] = values[:, near].mean(axis=1)
    return pd.DataFrame(found)


@pytest.mark.parametrize("suffix", [None, ".h5ad", ".zarr"])
@pytest.mark.parametrize("output", ["logits", "accessibility"])
@pytest.mark.parametrize("depth", [None, "published"])
def test_the_result_is_the_models_without_depth(
    model, genome, peaks, logits, probabilities, whole_logits, tmp_path, monkeypatch, suffix, output, depth
):
    monkeypatch.setattr("scbasset_zoo_plugins.denoise.denoised.PEAK_STEP", 16)
    monkeypatch.setattr("scbasset_zoo_plugins.denoise.denoised.BLOCK_CELLS", 25)
    out = suffix and tmp_path / f"denoised{suffix}"
    result = sz.run("denoise", model, genome=genome, peaks=peaks, output=output, out=out, depth=depth)
    expected = logits if output == "logits" else probabilities
    if depth == "published":
        expected = whole_logits - model.cell_intercept[:, None]
        expected = expected if output == "logits" else expit(expected)
    np.testing.assert_allclose(np.asarray(result.X[:]), expected, atol=1e-4)
    if out:
        read = ad.read_h5ad(out) if suffix == ".h5ad" else ad.read_zarr(out)
        np.testing.assert_allclose(read.X, expected, atol=1e-4)
        assert read.obs_names.tolist() == model.cells.index.tolist()
        assert read.uns["scbasset_zoo"]["card_sha256"] == model.card_sha256
        assert read.uns["scbasset_zoo"]["depth"] == read.uns["denoise"]["depth"] == (depth or "canonical")
        np.testing.assert_array_equal(read.obs["model_depth"], model.depth if depth is None else model.cell_intercept)
        products = read.obsm["X_scbasset"] @ read.varm["peak_embedding"].T
        np.testing.assert_allclose(products + model.cell_intercept[:, None], whole_logits, atol=1e-4)


def test_without_peaks_the_training_peaks_are_denoised(model, genome):
    result = sz.run("denoise", model, genome=genome)
    assert result.shape == (N_CELLS, model.card.peaks.n_peaks)


@pytest.mark.parametrize("output", ["logits", "accessibility"])
def test_gene_scores_are_means_over_peaks_near_the_start(model, genome, peaks, logits, probabilities, gtf, output, monkeypatch):
    monkeypatch.setattr("scbasset_zoo_plugins.denoise.denoised.PEAK_STEP", 3)
    result = sz.run("denoise", model, genome=genome, peaks=peaks, gtf=gtf, columns="genes", output=output)
    expected = naive_gene_scores(logits if output == "logits" else probabilities, gtf, peaks)
    assert result.var["gene_name"].tolist() == expected.columns.tolist()
    assert result.var["n_peaks"].max() > 1
    np.testing.assert_allclose(result.X, expected, atol=1e-4)


def test_agreement_with_rna_is_pearsons_before_and_after(model, genome, counts, logits, gtf, peaks, rna):
    result = sz.run("denoise", model, genome=genome, counts=counts, gtf=gtf, rna=rna)
    measured = ad.read_h5ad(rna)
    cells = [name for name in model.cells.index if name in measured.obs_names and name in counts.obs_names]
    position = model.cells.index.get_indexer(cells)
    scores = {
        "denoised": naive_gene_scores(logits, gtf, peaks).iloc[position],
        "counts": naive_gene_scores((counts[cells].X.toarray() > 0).astype(float), gtf, peaks),
    }
    expression = measured[cells].to_df()[scores["denoised"].columns].to_numpy()
    genes = result.uns["correlation_with_RNA"]
    assert genes["gene_name"].tolist() == scores["denoised"].columns.tolist()
    for side, table in scores.items():
        of_genes = [
            pearsonr(a, b)[0] if np.ptp(a) and np.ptp(b) else np.nan for a, b in zip(table.to_numpy().T, expression.T, strict=True)
        ]
        of_cells = [pearsonr(a, b)[0] if np.ptp(a) else np.nan for a, b in zip(table.to_numpy(), expression, strict=True)]
        np.testing.assert_allclose(genes[side], of_genes, atol=1e-4)
        assert np.isnan(genes[side]).sum() >= 1
        np.testing.assert_allclose(result.obs.loc[cells, f"rna_correlation_{side}"], of_cells, atol=1e-4)
        assert result.obs[f"rna_correlation_{side}"].isna().sum() >= N_CELLS - len(cells)
        row = result.uns["metrics"].loc["correlation with RNA over cells, mean over genes"]
        assert row[side] == pytest.approx(np.nanmean(of_genes), abs=1e-4)
        assert row["n_cells"] == len(cells)
        assert f"{np.isnan(of_genes).sum()} of {len(of_genes)} genes ({side})" in row["note"]


@pytest.mark.parametrize("output", ["logits", "accessibility"])
def test_agreement_with_labels_is_scikit_learns(model, genome, counts, logits, probabilities, output):
    result = sz.run("denoise", model, genome=genome, counts=counts, group_by="cell_type", output=output)
    position = np.sort(model.cells.index.get_indexer(counts.obs_names))
    labels = model.cells["cell_type"].iloc[position].astype(str).to_numpy()
    profiles = {
        "denoised": (logits if output == "logits" else probabilities)[position],
        "counts": (counts[model.cells.index[position]].X.toarray() > 0).astype(float),
    }
    metrics = result.uns["metrics"]
    for side, values in profiles.items():
        width = silhouette_score(squareform(pdist(values, "correlation")), labels, metric="precomputed")
        assert metrics.loc["silhouette width of labels, 1 - Pearson, as 0..1", side] == pytest.approx((width + 1) / 2, abs=1e-4)
        components = PCA(min(40, *values.shape), svd_solver="full").fit_transform(values)
        least, most = label_scores(components, labels, 10)
        assert least - 1e-9 <= metrics.loc["label score at 10, PCA(50)", side] <= most + 1e-9
        assert most - least < (1e-9 if side == "denoised" else 0.2)


def label_scores(points, labels, k):
    """The least and greatest share of k nearest neighbours of the same label, over the ways to break ties."""
    least, most = [], []
    for cell, of_cell in enumerate(np.round(squareform(pdist(points)), 5)):
        others = np.delete(np.arange(len(points)), cell)
        bound = np.sort(of_cell[others])[k - 1]
        same = labels[others] == labels[cell]
        certain, tied = of_cell[others] < bound, of_cell[others] == bound
        open_places = k - certain.sum()
        least.append((same & certain).sum() + max(0, open_places - (~same & tied).sum()))
        most.append((same & certain).sum() + min(open_places, (same & tied).sum()))
    return np.mean(least) / k, np.mean(most) / k


def test_profiles_give_distances_and_components_from_inner_products():
    rng = np.random.default_rng(2)
    values = rng.normal(2, 1, (12, 30))
    values[3] = 5
    profiles = Profiles(values @ values.T, values.sum(axis=1), 30)
    distances = profiles.correlation_distances()
    kept = np.arange(12) != 3
    np.testing.assert_allclose(distances[np.ix_(kept, kept)], 1 - np.corrcoef(values[kept]), atol=1e-10)
    assert (distances[3, kept] == 1).all()
    np.testing.assert_allclose(
        np.abs(profiles.principal_components(4)), np.abs(PCA(4, svd_solver="full").fit_transform(values)), atol=1e-8
    )


def test_correlations_of_blocks_are_those_of_the_whole():
    rng = np.random.default_rng(3)
    a, b = rng.normal(50, 1, (9, 5)), rng.normal(0, 1, (9, 5))
    found = Correlations()
    for first in (0, 4, 8):
        found.add(a[first : first + 4], b[first : first + 4])
    np.testing.assert_allclose(np.concatenate(found.per_cell), [pearsonr(x, y)[0] for x, y in zip(a, b, strict=True)])
    np.testing.assert_allclose(found.per_gene(), [pearsonr(x, y)[0] for x, y in zip(a.T, b.T, strict=True)])


@pytest.mark.parametrize("axis", [0, 1])
def test_chance_of_a_mean_correlation_is_that_over_all_permutations(axis):
    rng = np.random.default_rng(axis)
    levels = rng.normal(size=7)  # of genes, so that cells correlate by chance
    first, second = (levels + rng.normal(size=(6, 7)) for _ in range(2))
    lines = lambda matrix: matrix if axis else matrix.T  # noqa: E731
    correlated = lambda order: [pearsonr(a, b)[0] for a, b in zip(lines(first), lines(second[list(order)]), strict=True)]  # noqa: E731
    means = [np.mean(correlated(order)) for order in permutations(range(6))]
    chance = chance_of_mean_correlation(first, second, axis, 6)
    assert chance == pytest.approx((np.mean(means), np.std(means)), abs=1e-9)
    if axis:
        in_blocks = Correlations()
        for part in (slice(2), slice(2, 6)):
            in_blocks.add(first[part], second[part])
        in_blocks.add(np.ones((1, 7)), second[:1])  # undefined, and left out
        assert in_blocks.mean_over_pairs() == pytest.approx(np.mean(means), abs=1e-9)
    assert chance_of_mean_correlation(first, second, axis, 501).deviation == pytest.approx(chance.deviation / 10)
    assert np.isnan(chance_of_mean_correlation(np.ones((6, 7)), second, axis, 6)).all()
    assert np.isnan(chance_of_mean_correlation(first[:2, :2], second[:2, :2], axis, 2)).all()


def test_a_gene_that_does_not_vary_is_left_out_of_chance():
    first, second = np.random.default_rng(0).normal(size=(2, 6, 7))
    without = chance_of_mean_correlation(first, second, 0, 6)
    more = np.column_stack([first, np.full(6, 0.1)]), np.column_stack([second, second[:, 0]])
    assert chance_of_mean_correlation(*more, 0, 6) == pytest.approx(without)


def test_correlations_of_what_does_not_vary_or_of_two_values_are_undefined():
    rng = np.random.default_rng(3)
    a, b = np.repeat([[0.1, 0.3, 0.7]], 1_000, axis=0), rng.random((1_000, 3))
    a[:, 2] += 1e-3 * rng.random(1_000)
    found = Correlations()
    for first in range(0, 1_000, 100):
        found.add(a[first : first + 100], b[first : first + 100])
    assert np.isnan(found.per_gene()).tolist() == [True, True, False]
    assert found.per_gene()[2] == pytest.approx(pearsonr(a[:, 2], b[:, 2])[0])
    two = Correlations()
    two.add(b[:2, :2], b[2:4, :2])
    assert np.isnan(two.per_gene()).all()
    assert np.isnan(np.concatenate(two.per_cell)).all()


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_profiles_that_do_not_vary_are_told_from_rounding(value):
    rng = np.random.default_rng(0)
    values = np.concatenate([np.full((2, 3_000), value), value + 1e-4 * rng.random((2, 3_000))])
    profiles = Profiles(values @ values.T, values.sum(axis=1), 3_000)
    assert profiles.varies().tolist() == [False, False, True, True]
    distances = profiles.correlation_distances()
    assert (distances[:2, 2:] == 1).all()
    assert distances[2, 3] == pytest.approx(1 - pearsonr(values[2], values[3])[0], abs=1e-4)
    assert profiles.take([0, 1]).principal_components().shape == (2, 0)


def test_cells_with_one_value_at_all_peaks_are_not_compared_with_groups(model, genome, counts):
    emptied = counts.copy()
    emptied.X = emptied.X.toarray()
    emptied.X[:3] = 0
    metrics = sz.run("denoise", model, genome=genome, counts=emptied, group_by="cell_type").uns["metrics"]
    expected = sz.run("denoise", model, genome=genome, counts=counts[3:].copy(), group_by="cell_type").uns["metrics"]
    assert set(metrics["n_cells"]) == set(expected["n_cells"]) == {47}
    note = "without 3 cells that have the same value at all peaks"
    assert metrics.loc["label score at 10, PCA(50)", "note"].split("; ")[0] == note
    assert metrics.loc["label score at 50, PCA(50)", "note"] == f"there are 47 cells; 52 or more are needed; {note}"
    np.testing.assert_allclose(metrics[["counts", "denoised"]], expected[["counts", "denoised"]], atol=1e-6)
    assert metrics[["counts", "denoised"]].isna().all(axis=1).tolist() == [False, False, True, True]


def test_a_draw_of_cells_of_one_label_is_not_scored(genome, tmp_path):
    cells = toy.toy_cells(N_CELLS).assign(rare=["common"] * 5 + ["rare"] * 2 + ["common"] * (N_CELLS - 7))
    model = sz.open_model(toy.toy_package(tmp_path / "toy", n_cells=N_CELLS, cells=cells).folder, "cpu")
    options = {"genome": genome, "group_by": "rare", "max_cells": 10, "report": tmp_path / "report.html"}
    metrics = sz.run("denoise", model, **options).uns["metrics"]
    assert metrics["denoised"].isna().all()
    assert set(metrics["note"]) == {"all cells have the same label"}
    assert "<td>all cells have the same label</td>" in (tmp_path / "report.html").read_text()


def test_rna_that_is_the_same_in_all_cells_gives_no_ranks(model, genome, tmp_path):
    joint = ad.AnnData(obs=model.cells[[]], obsm={"X_atac": model.cell_embedding, "X_rna": np.ones_like(model.cell_embedding)})
    result = sz.run("denoise", model, genome=genome, joint=joint, plot=tmp_path / "figures")
    assert result.obs["rank_distance"].isna().all()
    assert result.uns["metrics"]["note"].tolist() == ["all cells have the same RNA"]
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"heat_map"}


def test_rank_distances_count_whose_rna_is_nearer(model, genome, tmp_path):
    rng = np.random.default_rng(4)
    atac = rng.normal(size=(N_CELLS, 3))
    joint = ad.AnnData(obs=pd.DataFrame(index=model.cells.index[::-1]))
    rna = atac + rng.normal(0, 0.7, atac.shape)
    joint.obsm["X_atac"], joint.obsm["X_rna"] = atac[::-1], sparse.csc_matrix(rna[::-1])
    joint.write_h5ad(tmp_path / "joint.h5ad")
    result = sz.run("denoise", model, genome=genome, joint=tmp_path / "joint.h5ad")
    expected = [
        sum(np.linalg.norm(atac[i] - rna[j]) < np.linalg.norm(atac[i] - rna[i]) for j in range(N_CELLS)) / (N_CELLS - 1)
        for i in range(N_CELLS)
    ]
    np.testing.assert_allclose(result.obs["rank_distance"], expected)
    assert result.uns["metrics"]["denoised"].iloc[0] == pytest.approx(np.mean(expected))
    same = np.zeros((4, 2))
    assert rank_distances(same, same, np.arange(4), block=3).tolist() == [0.5] * 4


def test_a_model_that_has_not_learnt_makes_counts_worse_and_says_so(model, genome, counts, capsys):
    """Counts that follow the types of the cells; the toy model's embedding is random."""
    types = model.cells["cell_type"].loc[counts.obs_names].astype(str)
    rng = np.random.default_rng(4)
    follows = pd.factorize(types)[0][:, None] == np.arange(N_PEAKS) % types.nunique()
    of_types = ad.AnnData((rng.random(counts.shape) < np.where(follows, 0.8, 0.1)).astype(float), obs=counts.obs, var=counts.var)
    result = sz.run("denoise", model, genome=genome, counts=of_types, group_by="cell_type")
    row = result.uns["metrics"].loc["label score at 10, PCA(50)"]
    sizes = types.value_counts().to_numpy()
    chance = (sizes * (sizes - 1)).sum() / (50 * 49)
    assert row["counts"] > chance + 0.3
    assert [row["chance_counts"], row["chance_denoised"]] == pytest.approx([chance, chance], abs=row["chance_sd"])
    assert row["note"] == "lower than for the counts; within 3 standard deviations of chance"
    worse, by_chance = result.uns["denoise"]["warnings"]
    assert worse.startswith("Denoising made it worse: silhouette width of labels")
    assert f"label score at 10, PCA(50) from {row['counts']:.3f} to {row['denoised']:.3f}" in worse
    assert by_chance.startswith("The denoised values are no better than chance: silhouette")
    assert {worse, by_chance} <= set(capsys.readouterr().err.splitlines())


def test_of_many_cells_a_seeded_draw_is_compared(model, genome):
    metrics = sz.run("denoise", model, genome=genome, group_by="cell_type", max_cells=40).uns["metrics"]
    assert set(metrics["n_cells"]) == {40}
    pd.testing.assert_frame_equal(
        metrics, sz.run("denoise", model, genome=genome, group_by="cell_type", max_cells=40).uns["metrics"]
    )


def test_a_model_of_known_truth_is_nearer_to_labels_and_rna_than_the_counts(tmp_path, monkeypatch):
    """RNA of each gene follows the true effect of its own peak's motifs; other peaks near its start are noise to it."""
    simulation = sz.simulate(tmp_path / "simulated", n_cells=200, n_peaks=300, density=0.08, quiet=True)
    model = sz.open_model(planted_package(tmp_path / "planted", simulation).folder, "cpu")
    truth = simulation.activities.to_numpy() @ simulation.strengths.to_numpy().T
    genes = np.arange(0, 300, 3)
    lines = []
    for i in genes:
        chrom, start, end = simulation.peaks.iloc[i][["chr", "start", "end"]]
        lines.append(GTF_LINE.format(chrom, "gene", start + 1, end, "+", f"G{i}", f"G{i}"))
    (tmp_path / "genes.gtf").write_text("".join(lines))
    noise = np.random.default_rng(0).normal(size=(200, 100))
    rna = ad.AnnData(truth[:, genes] + noise, obs=simulation.cells[[]], var=pd.DataFrame(index=[f"G{i}" for i in genes]))
    options = {"gtf": tmp_path / "genes.gtf", "reach": 250, "rna": rna, "group_by": "cell_type", "quiet": True}
    result = sz.run("denoise", model, genome=simulation.genome, counts=simulation.matrix, **options)
    varying = truth.std(axis=0) > 0.3
    of_peaks = [pearsonr(x, y)[0] for x, y in zip(result.X.T[varying], truth.T[varying], strict=True)]
    assert np.mean(of_peaks) > 0.8
    metrics = result.uns["metrics"]
    assert len(metrics) == 6
    assert (metrics["denoised"] > metrics["counts"]).all(), metrics
    assert len(result.uns["denoise"]["warnings"]) == 0
    of_rna = [name for name in metrics.index if name.startswith("correlation with RNA")]
    for side in ("counts", "denoised"):
        above = metrics.loc[of_rna, side] - metrics.loc[of_rna, f"chance_{side}"]
        assert (above > 3 * metrics.loc[of_rna, "chance_sd"]).all()
    # The same RNA, of other cells. Chance is computed as for many cells.
    monkeypatch.setattr("scbasset_zoo_plugins.denoise.comparison.CELLS_FOR_CHANCE", 60)
    rna.obs_names = np.random.default_rng(1).permutation(rna.obs_names)
    permuted = sz.run("denoise", model, genome=simulation.genome, counts=simulation.matrix, **options)
    assert permuted.uns["metrics"].loc[of_rna, "note"].str.contains("within 3 standard deviations of chance").all()
    assert permuted.uns["denoise"]["warnings"].tolist() == [f"The denoised values are no better than chance: {', '.join(of_rna)}."]
    said = Denoise().describe(permuted).findings
    assert sum("no better than with permuted cells" in sentence for sentence in said) == 2
    chance = permuted.uns["metrics"].loc[of_rna, ["chance_counts", "chance_denoised"]].to_numpy()
    for ax, expected in zip(Denoise().plot(permuted)["correlation_with_RNA"].axes, chance, strict=True):
        dashed = [line.get_segments()[0][0, 1] for line in ax.collections]
        assert dashed == pytest.approx(expected.tolist())


def test_counts_are_compared_at_their_own_peaks_or_at_those_that_are_given(model, genome, counts, peaks, capsys):
    whole = sz.run("denoise", model, genome=genome, counts=counts, group_by="cell_type", quiet=True)
    # The columns of the counts have another order, and one of them lies on a chromosome that the genome lacks.
    order = np.random.default_rng(0).permutation(counts.n_vars)
    other = ad.concat([counts[:, order[:3]], counts[:, order[3:]]], axis=1, merge="same")
    outside = ad.AnnData(sparse.csr_matrix(np.ones((counts.n_obs, 1), np.float32)), obs=counts.obs)
    outside.var = pd.DataFrame({"chrom": ["chrUn"], "start": [5], "end": [505]}, index=["chrUn:5-505"])
    other = ad.concat([other[:, :5], outside, other[:, 5:]], axis=1, merge="same")
    given = sz.run("denoise", model, genome=genome, counts=other, peaks=peaks, group_by="cell_type", quiet=True)
    pd.testing.assert_frame_equal(given.uns["metrics"], whole.uns["metrics"])
    np.testing.assert_array_equal(given.X, whole.X)
    left_out = sz.run("denoise", model, genome=genome, counts=other, group_by="cell_type", quiet=True)
    assert f"1 of {other.n_vars:,} peaks are left out: 1 on chromosomes that {genome} lacks (chrUn)" in capsys.readouterr().err
    assert left_out.shape == whole.shape
    pd.testing.assert_frame_equal(left_out.uns["metrics"], whole.uns["metrics"], atol=1e-5)


def test_real_counts_are_compared_from_end_to_end(shared_data, hg19_fasta, tmp_path):
    """Random weights under the names of real cells: what counts give does not depend on them."""
    counts = ad.read_h5ad(shared_data / "buenrostro2018_bm0828.h5ad")
    sizes = Genome(hg19_fasta).chromosome_sizes
    reference = {"assembly": "hg19", "naming": "ucsc", "chromosome_sizes": sizes}
    package = toy.toy_package(tmp_path / "toy", n_cells=len(counts), cells=counts.obs[["cell_type"]], genome=reference)
    model = sz.open_model(package.folder, "cpu")
    with pytest.raises(sz.InputError, match=r"no chromosome chr1\."):
        sz.run("denoise", model, genome=hg19_fasta, counts=counts, strict=True)
    part = counts[:, counts.var_names.str.match("chr(20|22)[-_:]")][:, ::4].copy()
    result = sz.run("denoise", model, genome=hg19_fasta, counts=part, group_by="cell_type", out=tmp_path / "d.zarr", quiet=True)
    assert result.shape == part.shape
    found = result.uns["metrics"].loc["silhouette width of labels, 1 - Pearson, as 0..1"]
    is_open = (part.X.toarray() if sparse.issparse(part.X) else part.X) > 0
    assert is_open.any(axis=1).all()
    width = silhouette_score(squareform(pdist(is_open, "correlation")), part.obs["cell_type"], metric="precomputed")
    assert found["counts"] == pytest.approx((width + 1) / 2, abs=1e-6)


def test_every_figure_is_drawn_of_what_the_file_holds(model, genome, counts, gtf, rna, tmp_path):
    joint = ad.AnnData(obs=model.cells[[]], obsm={"X_atac": model.cell_embedding, "X_rna": model.cell_embedding})
    options = {"counts": counts, "gtf": gtf, "rna": rna, "joint": joint, "group_by": "cell_type"}
    sz.run("denoise", model, genome=genome, out=tmp_path / "d.h5ad", plot=tmp_path / "figures", **options)
    names = {"heat_map", "correlation_with_RNA", "rank_distance"}
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == names
    figures = Denoise().plot(ad.read_h5ad(tmp_path / "d.h5ad"))
    assert set(figures) == names
    for figure in figures.values():
        assert all(ax.get_xlabel() or ax.get_ylabel() for ax in figure.axes)
    counted, denoised = (ax for ax in figures["heat_map"].axes if "most variable peaks" in ax.get_xlabel())
    heat_map = ad.read_h5ad(tmp_path / "d.h5ad").uns["heat_map"]
    names = model.cells.index[heat_map["cells"]]
    expected = counts[names, heat_map["peaks"]].X.toarray() > 0
    np.testing.assert_array_equal(counted.images[0].get_array(), expected)
    assert denoised.images[0].get_array().shape == (50, N_PEAKS)


def test_genes_that_do_not_vary_have_no_correlation_and_figures_are_drawn_all_the_same(model, genome, gtf, rna, tmp_path):
    constant = ad.read_h5ad(rna)
    constant.X = np.ones(constant.shape)
    out, figures = tmp_path / "d.h5ad", tmp_path / "figures"
    sz.run("denoise", model, genome=genome, gtf=gtf, rna=constant, out=out, plot=figures, quiet=True)
    assert ad.read_h5ad(out).uns["correlation_with_RNA"]["denoised"].isna().all()
    assert (figures / "correlation_with_RNA.png").is_file()


def test_what_cannot_be_done_is_refused_before_any_work(genome, peaks, counts, gtf, rna, tmp_path, monkeypatch):
    cells = toy.toy_cells(N_CELLS).assign(gaps=[None, *["a", "b"] * 29, "a"], one="a")
    model = sz.open_model(toy.toy_package(tmp_path / "toy", n_cells=N_CELLS, cells=cells).folder, "cpu")
    monkeypatch.setattr(type(model), "embed", lambda *_: pytest.fail("work was begun"))
    unknown_cells = ad.AnnData(np.ones((3, 2)), obs=pd.DataFrame(index=["x", "y", "z"]))
    twice = ad.AnnData(np.ones((2, 2)), obs=pd.DataFrame(index=["cell-1", "cell-1"]))
    (tmp_path / "bad.gtf").write_text("chr1\tgene\n")
    (tmp_path / "empty.gtf").write_text("# nothing\n")
    (tmp_path / "far.gtf").write_text(GTF_LINE.format("contig9", "gene", 1, 2, "+", "G", "G"))
    (tmp_path / "outside.bed").write_text("chr1\t90000\t90500\n")
    other_genes = ad.AnnData(np.ones((N_CELLS, 2)), obs=model.cells[[]], var=pd.DataFrame(index=["p", "q"]))
    ad.AnnData(var=peaks[:0].set_axis([], axis=0)).write_h5ad(tmp_path / "empty.h5ad")
    with_nan = ad.read_h5ad(rna)
    with_nan.X[with_nan.obs_names.isin(["cell-7", "cell-30"]), 0] = np.nan

    def joint(n_atac, n_rna, value=0.0):
        profiles = {"X_atac": np.zeros((N_CELLS, n_atac)), "X_rna": np.full((N_CELLS, n_rna), value)}
        return ad.AnnData(obs=model.cells[[]], obsm=profiles)

    for options, message in (
        ({"group_by": "nothing"}, "no column 'nothing'"),
        ({"group_by": "gaps"}, "1 of 60 cells have no gaps, such as 'cell-0'"),
        ({"group_by": "one"}, "all 60 cells have the one 'a'"),
        ({"peaks": tmp_path / "outside.bed"}, "chr1:90000-90500"),
        ({"peaks": ["chr1:3000-3501"], "counts": counts}, "counts has no column for 1 of 1 peaks of peaks, such as chr1:3000-3501"),
        ({"rna": rna}, "rna needs gtf"),
        ({"columns": "genes"}, "columns='genes' needs gtf"),
        ({"gtf": gtf}, "give also columns='genes' or rna"),
        ({"gtf": tmp_path / "absent.gtf", "columns": "genes"}, "There is no .*absent.gtf"),
        ({"gtf": tmp_path / "bad.gtf", "columns": "genes"}, "bad.gtf, line 1: expected nine columns"),
        ({"gtf": tmp_path / "empty.gtf", "columns": "genes"}, "no line of a gene"),
        ({"gtf": tmp_path / "far.gtf", "columns": "genes", "peaks": peaks}, "peaks are on chr1, chr2, genes on contig9"),
        ({"peaks": tmp_path / "empty.h5ad"}, "There are no peaks: give at least one"),
        ({"peaks": peaks[:0]}, "There are no peaks"),
        ({"counts": tmp_path / "absent.h5ad"}, "counts: there is no .h5ad or .zarr .*absent.h5ad"),
        ({"counts": tmp_path / "absent.csv"}, "counts: there is no .h5ad or .zarr .*absent.csv"),
        ({"rna": unknown_cells, "gtf": gtf, "peaks": peaks}, "rna holds 0 of the model's 60 cells. Its barcodes look like 'x'"),
        ({"rna": twice, "gtf": gtf, "peaks": peaks}, "'cell-1' occurs more than once"),
        ({"rna": other_genes, "gtf": gtf, "peaks": peaks}, "share 0 genes that have peaks. The RNA names genes like 'p'"),
        ({"rna": other_genes[:, :0].copy(), "gtf": gtf, "peaks": peaks}, "rna has no values: its X has no columns"),
        ({"rna": with_nan, "gtf": gtf, "peaks": peaks}, "rna: the cell 'cell-7' has NaN or infinite values in X"),
        ({"joint": other_genes}, "no .obsm X_atac and X_rna"),
        ({"joint": joint(3, 4)}, "X_atac and X_rna must lie in one space; they have 3 and 4 dimensions"),
        ({"joint": joint(3, 3, np.nan)}, "joint: .obsm 'X_rna' must be cells x dimensions of finite numbers"),
        ({"output": "counts"}, "output: "),
        ({"colums": "genes"}, "colums is not an option"),
    ):
        with pytest.raises(sz.InputError, match=message):
            sz.run("denoise", model, genome=genome, **options)
    with pytest.raises(sz.InputError, match="genome must be given"):
        sz.run("denoise", model)
    with pytest.raises(sz.InputError, match=r"written as .h5ad or .zarr"):
        sz.run("denoise", model, genome=genome, out=tmp_path / "x.csv")
    monkeypatch.setattr("scbasset_zoo.runtime.memory.available_memory", lambda: 1_000)
    with pytest.raises(sz.InputError, match="Give out=FILE.zarr"):
        sz.run("denoise", model, genome=genome)
