"""Motif insertion: its scores are those of a plain loop, recover what was simulated, and agree with other libraries."""

import json
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import onnx
import pandas as pd
import pytest
import scanpy as sc
from helpers import toy
from helpers.embedded import SIZE, embedded_package, groups
from helpers.rounding import ROUNDING
from matplotlib.colors import to_rgba
from scbasset_zoo_plugins.motif_insertion import analysis as motif_insertion
from scbasset_zoo_plugins.motif_insertion.analysis import MotifInsertion
from scbasset_zoo_plugins.motif_insertion.backgrounds import shuffled_backgrounds
from scbasset_zoo_plugins.motif_insertion.factor_scores import parse_contrast, signed_rank
from scbasset_zoo_plugins.motif_insertion.inputs import MotifInsertionOptions
from scbasset_zoo_plugins.motif_insertion.scores import add_sums, instances, logit_scores
from scbasset_zoo_plugins.motif_insertion.significance import (
    compare_with_shuffled_motifs,
    insert_shuffled_motifs,
    is_ignored,
    orders_of_positions,
    shuffle_parts,
    shuffle_tests,
)
from scbasset_zoo_plugins.motifs.loading import load_motifs
from scbasset_zoo_plugins.palette import GREY
from scipy import sparse, stats
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.run import app
from scbasset_zoo.errors import InputError
from scbasset_zoo.extend.neighbours import add_neighbours
from scbasset_zoo.graph.model_building import with_head
from scbasset_zoo.graph.plain_run import run_plainly
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.package.writing import write_package

MEME = (
    """MEME version 4

ALPHABET= ACGT

MOTIF M1 FOO
letter-probability matrix: alength= 4 w= 6
0.9 0.1 0 0
0.1 0.8 0.1 0
0.25 0.25 0.25 0.25
0 0 0.5 0.5
0 0 1 0
0.3 0.3 0.2 0.2

MOTIF M2 (BAR)_(Mus_musculus)_(DBD_1.00)
letter-probability matrix: alength= 4 w= 17
"""
    + "0.4 0.3 0.2 0.1\n" * 17
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A toy model, its genome and two motifs."""
    folder = tmp_path_factory.mktemp("insertion")
    (folder / "motifs.meme").write_text(MEME)
    package = toy.toy_package(folder / "toy")
    return package, {"motifs": str(folder / "motifs.meme"), "genome": toy.toy_genome(folder / "toy.fa")}


@pytest.fixture(scope="module")
def model(files):
    return sz.open_model(files[0].folder, "cpu")


def run(model, options, **more):
    return sz.run("motif-insertion", model, quiet=True, **{"n_backgrounds": 5, "n_shuffles": 5, **options, **more})


def naive_scores(model, options):
    """Cells x motifs, raw: each motif in each background, every sequence by plain ONNX Runtime on model.onnx."""
    options = MotifInsertionOptions(**options)
    peaks = model.package.peaks()
    windows = model.peak_windows(peaks[peaks["split"] == "train"], options.genome)
    backgrounds = shuffled_backgrounds(windows, options.n_backgrounds, options.seed)
    normalised = (lambda z: z) if options.scale == "logit" else expit
    raw = model.package.model_bytes()

    def logits(codes):
        outputs = run_plainly(raw, dna.one_hot(codes))
        if options.space == "published":
            return outputs["logits"].astype(np.float64) - model.cell_intercept
        return outputs["logits"].astype(np.float64) - model.depth + model.depth.mean()

    columns = []
    for motif in load_motifs(options.motifs):
        drawn, differences = instances(motif, len(backgrounds), options), []
        for background, instance in zip(backgrounds, drawn, strict=True):
            for written in (instance, dna.reverse_complement(instance))[: 2 if options.both_strands else 1]:
                edited = background.copy()
                start = (len(edited) - len(written)) // 2
                edited[start : start + len(written)] = written
                differences.append(normalised(logits(edited[None])[0]) - normalised(logits(background[None])[0]))
        columns.append(np.mean(differences, axis=0))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("scale", ["logit", "probability"])
@pytest.mark.parametrize("more", [{}, {"both_strands": True, "instances": "consensus", "space": "published"}])
def test_scores_are_those_of_a_loop_over_plain_onnxruntime(model, files, scale, more):
    options = {**files[1], "n_backgrounds": 3, "scale": scale, **more}
    expected = naive_scores(model, options)
    result = run(model, options)
    np.testing.assert_allclose(result.layers["score"], expected, atol=1e-4)
    np.testing.assert_allclose(result.X, (expected - expected.mean(axis=0)) / expected.std(axis=0), atol=2e-3)
    np.testing.assert_allclose(result.var["mean"], expected.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(result.var["deviation"], expected.std(axis=0), atol=1e-4)


def test_the_result_is_cells_by_motifs_and_opens_in_scanpy(model, files, tmp_path):
    run(model, files[1], out=tmp_path / "r.h5ad")
    result = sc.read_h5ad(tmp_path / "r.h5ad")
    assert result.obs_names.tolist() == model.cells.index.tolist()
    assert result.obs["cell_type"].astype(str).tolist() == model.cells["cell_type"].astype(str).tolist()
    assert result.var_names.tolist() == ["M1", "M2"]
    assert result.var["tf"].tolist() == ["FOO", "BAR"]
    np.testing.assert_allclose(result.layers["score"], result.obsm["X_scbasset"] @ result.varm["latent"].T, atol=ROUNDING)
    assert result.uns["scbasset_zoo"]["analysis"] == "motif-insertion"
    assert sc.get.obs_df(result, ["M1", "cell_type"]).shape == (7, 2)


@pytest.mark.parametrize("scale", ["logit", "probability"])
@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_a_streamed_file_holds_what_is_returned_in_memory(model, files, tmp_path, monkeypatch, scale, suffix):
    expected = run(model, files[1], scale=scale)
    monkeypatch.setattr(motif_insertion, "MAX_RAW_VALUES", 1)
    monkeypatch.setattr("scbasset_zoo_plugins.motif_insertion.scores.BLOCK_CELLS", 3)
    run(model, files[1], scale=scale, out=tmp_path / f"r{suffix}")
    result = (ad.read_h5ad if suffix == ".h5ad" else ad.read_zarr)(tmp_path / f"r{suffix}")
    assert "score" not in result.layers
    # A z-score divides the rounding of the raw scores by their deviation.
    deviation = result.var["deviation"].to_numpy()
    assert (np.abs(result.X - expected.X) <= ROUNDING / deviation).all()
    raw = result.X * deviation + result.var["mean"].to_numpy()
    np.testing.assert_allclose(raw, expected.layers["score"], rtol=0, atol=ROUNDING)
    tables = (result.uns["group_means"], expected.uns["group_means"])
    means, expected_means = (table.drop(columns="tf").loc[["M1", "M2"]] for table in tables)
    assert (np.abs(means - expected_means).to_numpy() <= ROUNDING / deviation[:, None]).all()
    assert result.uns["group_means"]["tf"].to_dict() == {"M1": "FOO", "M2": "BAR"}
    assert result.uns["scbasset_zoo"]["card_sha256"] == model.card_sha256


def test_a_motifs_score_depends_on_the_seed_and_on_no_other_motif(model, files):
    both, alone = run(model, files[1]), run(model, files[1], motif_names=["bar"])
    np.testing.assert_allclose(alone.layers["score"][:, 0], both.layers["score"][:, 1], atol=ROUNDING)
    np.testing.assert_allclose(run(model, files[1]).layers["score"], both.layers["score"], atol=ROUNDING)
    assert np.abs(run(model, files[1], seed=1).layers["score"] - both.layers["score"]).max() > 1e-3


def test_backgrounds_keep_the_dinucleotides_of_distinct_peaks(model, files):
    windows = model.peak_windows(toy.toy_peaks(), files[1]["genome"])
    counts = lambda codes: tuple(np.bincount(codes[:-1].astype(int) * 5 + codes[1:], minlength=25))  # noqa: E731
    originals = {counts(codes): row for row, codes in enumerate(windows.read(0, len(windows)))}
    with_sequence = [row for row in range(len(windows)) if (windows.read(row, row + 1) == dna.N).mean() <= 0.25]
    assert len(with_sequence) == len(windows) - 2
    backgrounds = shuffled_backgrounds(windows, len(with_sequence), 0)
    rows = [originals[counts(codes)] for codes in backgrounds]
    assert sorted(rows) == with_sequence
    assert rows != sorted(rows)
    assert all((windows.read(row, row + 1)[0] != codes).mean() > 0.3 for row, codes in zip(rows, backgrounds, strict=True))
    assert len(np.unique(shuffled_backgrounds(windows, 30, 0), axis=0)) == 30


def test_peaks_of_unknown_sequence_are_passed_over(model, files, tmp_path):
    genome = Genome(files[1]["genome"])
    fasta = tmp_path / "half.fa"
    letters = {name: dna.decode(genome.codes(name, 0, size)) for name, size in genome.chromosome_sizes.items()}
    fasta.write_text(f">chr1\n{'N' * len(letters['chr1'])}\n>chr2\n{letters['chr2']}\n")
    windows = model.peak_windows(toy.toy_peaks(), fasta)
    assert (shuffled_backgrounds(windows, 10, 0) == dna.N).mean() < 0.25
    fasta.with_suffix(".none.fa").write_text(f">chr1\n{'N' * len(letters['chr1'])}\n>chr2\n{'N' * len(letters['chr2'])}\n")
    windows = model.peak_windows(toy.toy_peaks(), fasta.with_suffix(".none.fa"))
    with pytest.raises(InputError, match="more than a quarter N"):
        shuffled_backgrounds(windows, 10, 0)


def test_training_peaks_on_missing_chromosomes_are_reported_as_left_out(model, files, tmp_path, capsys):
    genome = Genome(files[1]["genome"])
    fasta = tmp_path / "one.fa"
    fasta.write_text(f">chr2\n{dna.decode(genome.codes('chr2', 0, 9_000))}\n")
    run(model, {**files[1], "genome": fasta})
    assert capsys.readouterr().err.count("training peaks are left out") == 1


@pytest.fixture(scope="module")
def planted_result(planted):
    simulation, package = planted
    model = sz.open_model(package, "cpu")
    options = {"motifs": str(simulation.folder / "motifs.meme"), "genome": simulation.genome, "n_backgrounds": 30}
    return simulation, model, options, run(model, options, contrast="cell_type:GMP:CLP", n_shuffles=20)


def test_active_factors_are_recovered_and_inactive_ones_hardly_move(planted_result):
    simulation, _, _, result = planted_result
    active = simulation.tfs.index[simulation.activities.std() > 0.2]
    inactive = simulation.tfs.index[~simulation.tfs["active"]]
    assert (len(active), len(inactive)) == (12, 9)
    scores = result.to_df()
    r = [np.corrcoef(scores[tf], simulation.activities[tf])[0, 1] for tf in active]
    assert min(r) > 0.7
    deviation = result.var["deviation"]
    assert deviation[inactive].max() < 0.1 * deviation[active].min()


def test_a_contrast_is_scored_as_scikit_learn_scores_it(planted_result):
    _, model, _, result = planted_result
    table = result.uns["contrast"]
    types = model.cells["cell_type"].astype(str).to_numpy()
    chosen = np.isin(types, ["GMP", "CLP"])
    for tf in ("SPI1", "EBF1", "HNF4A"):
        score = result.to_df()[tf].to_numpy()[chosen]
        assert table.loc[tf, "auroc"] == pytest.approx(roc_auc_score(types[chosen] == "GMP", score))
        assert table.loc[tf, "aupr"] == pytest.approx(average_precision_score(types[chosen] == "GMP", score))
    assert table["aupr_by_chance"].unique() == pytest.approx((types[chosen] == "GMP").mean())
    assert table.loc["SPI1", "auroc"] > 0.95
    assert table.loc["EBF1", "auroc"] < 0.05


def measured(cells, values, names):
    return ad.AnnData(np.asarray(values, np.float32), obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=names))


def test_expression_is_correlated_and_tested_against_other_scores(planted_result):
    simulation, model, options, plain = planted_result
    rng = np.random.default_rng(0)
    activities = simulation.activities.copy()
    activities["GATA1"] *= -1
    expressed = activities[["SPI1", "CEBPA", "GATA1", "EBF1", "TCF7", "KLF1", "HNF4A"]]
    noise = rng.normal(size=expressed.shape)
    order = rng.permutation(len(expressed))[:100]
    rna = measured(expressed.index[order], (expressed + noise).to_numpy()[order], [name.title() for name in expressed])
    other = measured(expressed.index, expressed.abs() + 3 * noise[:, ::-1], expressed.columns)
    other = other[:, ["TCF7", "SPI1", "CEBPA", "GATA1", "EBF1", "KLF1"]].copy()
    result = run(model, options, rna=rna, compare_with=other)
    table, tests = result.uns["expression"], result.uns["expression_tests"]
    scores, theirs = plain.to_df().loc[rna.obs_names], other.to_df().loc[rna.obs_names]
    assert sorted(table.index) == sorted(theirs.columns)
    for tf in table.index:
        gene = rna.to_df()[tf.title()]
        assert table.loc[tf, "r"] == pytest.approx(np.corrcoef(scores[tf], gene)[0, 1], abs=1e-4)
        assert table.loc[tf, "r_other"] == pytest.approx(np.corrcoef(theirs[tf], gene)[0, 1], abs=1e-4)
        assert table.loc[tf, "kind"] == ("activating" if table.loc[tf, "r"] + table.loc[tf, "r_other"] > 0 else "repressive")
    assert table.loc["GATA1", "kind"] == "repressive"
    activating = table[table["kind"] == "activating"]
    expected = stats.wilcoxon(activating["r"].abs(), activating["r_other"].abs())
    assert tests.loc["activating", "n"] == len(activating)
    assert tests.loc["activating", "p"] == pytest.approx(expected.pvalue)
    assert tests.loc["activating", "statistic"] == pytest.approx(expected.statistic)
    alone = run(model, options, rna=rna).uns["expression"]
    assert (alone["kind"] == np.where(alone["r"] > 0, "activating", "repressive")).all()
    assert "HNF4A" in alone.index
    gene = rna.to_df()["Spi1"].to_numpy()
    permuted = [np.corrcoef(scores["SPI1"], rng.permutation(gene))[0, 1] for _ in range(2_000)]
    assert [*alone.loc["SPI1", ["chance", "chance_sd"]]] == pytest.approx([np.mean(permuted), np.std(permuted)], abs=0.01)
    by_chance = tests["median_abs_r_by_chance"].to_numpy()
    assert by_chance == pytest.approx(np.median(np.abs(permuted)), abs=0.01)


def test_ignored_factors_are_grey_in_the_figure_of_expression(planted_result):
    simulation, model, options, _ = planted_result
    factors = ["SPI1", "CEBPA", "GATA1", "HNF4A", "SOX2"]
    noise = np.random.default_rng(0).normal(size=(len(simulation.cells), len(factors)))
    rna = measured(simulation.cells.index, simulation.activities[factors] + noise, factors)
    for more in ({}, {"compare_with": measured(rna.obs_names, rna.X + noise, factors)}):
        result = run(model, options, rna=rna, **more)
        assert result.uns["expression"]["responds"].to_dict() == {factor: factor not in ("HNF4A", "SOX2") for factor in factors}
        ax = MotifInsertion().plot(result)["expression"].axes[0]
        grey, *others = ax.collections
        assert (grey.get_label(), len(grey.get_offsets())) == ("ignored by the network (2)", 2)
        assert tuple(grey.get_facecolor()[0]) == pytest.approx(to_rgba(GREY))
        assert sum(len(points.get_offsets()) for points in others) == 3
        assert all((text.get_color() == GREY) == (text.get_text() in ("HNF4A", "SOX2")) for text in ax.texts)
    assert "Grey: factors that the network ignores" in MotifInsertion().describe(result).captions["expression"]


@pytest.fixture(scope="module")
def equal_cells(tmp_path_factory):
    """A model of 30 cells that are all alike, so that no motif's score varies."""
    cells = pd.DataFrame({"cell_type": np.tile(["a", "b", "c"], 10)}, index=[f"cell-{i}" for i in range(30)])
    package = embedded_package(tmp_path_factory.mktemp("equal") / "model", np.full((30, SIZE), 0.3), cells)
    return sz.open_model(package.folder, "cpu")


@pytest.mark.parametrize("scale", ["logit", "probability"])
def test_a_score_that_is_the_same_in_all_cells_has_no_z_scores(equal_cells, files, tmp_path, capsys, scale):
    rna = measured(equal_cells.cells.index, np.random.default_rng(0).normal(size=(30, 2)), ["FOO", "BAR"])
    options = {**files[1], "scale": scale, "group_by": "cell_type", "contrast": "cell_type:a:b", "rna": rna, "show": ["foo"]}
    run(equal_cells, options, out=tmp_path / "r.h5ad", plot=tmp_path / "plots", report=tmp_path / "r.html")
    result = ad.read_h5ad(tmp_path / "r.h5ad")
    assert np.isnan(result.X).all()
    assert (result.var["deviation"] == 0).all()
    assert result.var["note"].tolist() == ["the raw score is the same in all cells"] * 2
    np.testing.assert_allclose(result.layers["score"], np.tile(result.var["mean"], (30, 1)), atol=ROUNDING)
    assert (result.var["mean"] != 0).all()
    assert result.uns["group_means"][["a", "b", "c"]].isna().all(axis=None)
    assert result.uns["contrast"][["auroc", "aupr"]].isna().all(axis=None)
    assert len(result.uns["expression"]) == 0
    said = capsys.readouterr().err
    assert "2 of 2 motifs have no z-scores, because the raw score is the same in all cells: M1, M2." in said
    assert "2 of 2 factors have no correlation with expression" in said
    assert {path.stem for path in (tmp_path / "plots").iterdir()} == {"precision_recall", "expression"}
    assert "<td class=number>–</td>" in (tmp_path / "r.html").read_text()


def test_a_motif_without_effect_has_no_z_scores_beside_one_with_an_effect():
    cells = np.random.default_rng(0).normal(5, 1, (200, 4)).astype(np.float32)
    latent = np.array([[0, 0, 0, 0], [1e-9, 0, -1e-9, 0], [0.1, 0, 0, -0.2]], np.float32)
    scores = logit_scores(cells, latent, rounding=1e-6)
    assert (scores.deviation > 0).tolist() == [False, False, True]
    z = scores.z_scores(slice(None), slice(None))
    assert np.isnan(z[:, :2]).all()
    raw = cells.astype(float) @ latent[2]
    np.testing.assert_allclose(z[:, 2], (raw - raw.mean()) / raw.std(), atol=1e-5)


def test_correlations_of_two_cells_and_groups_of_missing_values_are_refused(model, files, tmp_path):
    two = measured(model.cells.index[:2], np.arange(4).reshape(2, 2), ["FOO", "BAR"])
    with pytest.raises(InputError, match="rna has 2 of the model's cells; correlations with expression need three or more"):
        run(model, files[1], rna=two)
    rna = measured(model.cells.index[:4], np.arange(8).reshape(4, 2), ["FOO", "BAR"])
    other = measured(model.cells.index[2:], np.arange(10).reshape(5, 2), ["FOO", "BAR"])
    with pytest.raises(InputError, match="rna and compare_with share 2 of the model's cells"):
        run(model, files[1], rna=rna, compare_with=other)
    embedding, cells = groups(12)
    cells = cells.assign(state=[None, None, "x", "y", "y", "x"] * 2)
    missing = sz.open_model(embedded_package(tmp_path / "missing", embedding, cells).folder, "cpu")
    with pytest.raises(InputError, match="contrast: no cell has the state 'None'; the values are x, y"):
        run(missing, files[1], contrast="state:None:x")


def test_equal_correlations_are_not_tested():
    r = [0.5, 0.2, -0.3, -0.1]
    table = pd.DataFrame({"r": r, "r_other": [0.5, -0.2, -0.3, -0.4], "kind": ["activating"] * 2 + ["repressive"] * 2})
    tests = signed_rank(table)
    assert tests["note"].to_dict() == {"activating": "both scores have the same correlations", "repressive": ""}
    assert tests["p"].isna().to_dict() == {"activating": True, "repressive": False}


def test_names_in_a_contrast_may_have_colons():
    cells = pd.DataFrame({"a:b": ["p:q", "r", None], "a": ["b", "b:p", "q:r"]})
    assert parse_contrast("a:b:p:q:r", cells[["a:b"]]) == ("a:b", "p:q", "r")
    with pytest.raises(InputError, match="may mean 'b:p' and 'q:r' of 'a' or 'p:q' and 'r' of 'a:b'"):
        parse_contrast("a:b:p:q:r", cells)
    assert parse_contrast("a:b:none", cells) == ("a", "b", "none"), "the column is there, so that its values can be shown"
    assert parse_contrast("x:y:z", cells) == ("x", "y", "z")


def test_one_factor_is_not_tested():
    tests = signed_rank(pd.DataFrame({"r": [0.5], "r_other": [0.1], "kind": ["activating"]}))
    assert tests["note"].tolist() == ["there is one factor"]
    assert tests["p"].isna().all()


def test_figures_are_drawn_of_a_result_read_from_its_file(planted_result, tmp_path):
    simulation, model, options, _ = planted_result
    rna = measured(simulation.activities.index, simulation.activities, simulation.activities.columns)
    run(model, options, contrast="cell_type:GMP:CLP", rna=rna, show=["spi1", "GATA1"], out=tmp_path / "r.h5ad")
    figures = MotifInsertion().plot(ad.read_h5ad(tmp_path / "r.h5ad", backed="r"))
    assert sorted(figures) == ["expression", "factors_by_group", "precision_recall", "umap"]
    heat_map = figures["factors_by_group"].axes[0]
    assert [label.get_text() for label in heat_map.get_yticklabels()] == list(simulation.cells["cell_type"].cat.categories)
    assert {"SPI1", "EBF1", "GATA1"} <= {label.get_text() for label in heat_map.get_xticklabels()}
    assert not {"HNF4A", "SOX2"} & {label.get_text() for label in heat_map.get_xticklabels()}
    assert [ax.get_title() for ax in figures["umap"].axes[:2]] == ["GATA1", "SPI1"]
    curves = figures["precision_recall"].axes[0]
    assert (curves.get_xlabel(), curves.get_ylabel()) == ("recall", "precision")
    assert len(curves.get_lines()) == 3
    figures["precision_recall"].savefig(tmp_path / "f.png")


def test_genes_that_do_not_vary_leave_an_empty_table_and_an_empty_figure(model, files, tmp_path):
    rna = measured(model.cells.index, np.ones((7, 1)), ["FOO"])
    run(model, files[1], rna=rna, out=tmp_path / "r.h5ad", plot=tmp_path / "plots", report=tmp_path / "r.html")
    assert len(ad.read_h5ad(tmp_path / "r.h5ad").uns["expression"]) == 0
    assert (tmp_path / "plots" / "expression.png").is_file()
    run(model, files[1], rna=rna, compare_with=rna, out=tmp_path / "c.h5ad", plot=tmp_path / "compared")
    assert len(ad.read_h5ad(tmp_path / "c.h5ad").uns["expression_tests"]) == 0


def test_a_given_umap_is_drawn(model, files):
    points = np.random.default_rng(0).normal(size=(7, 2))
    cells = list(model.cells.index[::-1])
    given = ad.AnnData(obs=pd.DataFrame(index=cells), obsm={"X_umap": points})
    result = run(model, files[1], umap_from=given)
    np.testing.assert_array_equal(result.obsm["X_umap"], points[::-1])
    given.obsm["X_umap"] = sparse.csr_matrix(points)
    np.testing.assert_array_equal(run(model, files[1], umap_from=given).obsm["X_umap"], points[::-1])
    with pytest.raises(InputError, match="X_umap"):
        run(model, files[1], umap_from=given[:5].copy())


def test_the_space_changes_the_map_and_no_effect(model, files, capsys):
    results = {space: run(model, files[1], space=space) for space in (None, "canonical", "published")}
    maps = {}
    for space, result in results.items():
        np.testing.assert_array_equal(result.X, results[None].X)
        np.testing.assert_array_equal(result.obsm["X_scbasset"], model.cell_embedding)
        np.testing.assert_array_equal(result.obsm["X_scbasset_canonical"], model.canonical_embedding)
        assert result.uns["motif_insertion"]["space"] == (space or "canonical")
        dots = MotifInsertion().plot(result)["umap"].axes[0].collections[0]
        maps[space] = np.sort(np.asarray(dots.get_offsets()), axis=0)
    for space, embedding in ((None, model.canonical_embedding), ("published", model.cell_embedding)):
        cells = ad.AnnData(obsm={"X": embedding})
        add_neighbours(cells, "X", 6, 0)
        np.testing.assert_allclose(maps[space], np.sort(cells.obsm["X_umap"], axis=0), rtol=1e-5)
    np.testing.assert_array_equal(maps["canonical"], maps[None])
    assert np.abs(maps["published"] - maps[None]).max() > 0.01
    assert "gauge" not in capsys.readouterr().err
    description = MotifInsertion().describe(results[None])
    assert "similar canonical embeddings" in description.captions["umap"]
    assert any("the same in the canonical and in the published space" in line for line in description.how_to_read)


def test_a_model_without_a_gauge_has_the_published_embedding_alone(files, tmp_path, capsys):
    bare = sz.open_model(toy.toy_package(tmp_path / "toy", gauge=False).folder, "cpu")
    result = run(bare, files[1])
    assert list(result.obsm) == ["X_scbasset"]
    assert result.uns["motif_insertion"]["space"] == "published"
    assert capsys.readouterr().err.count("has no gauge") == 1
    assert "umap" in MotifInsertion().plot(result)
    given = ad.AnnData(obs=pd.DataFrame(index=bare.cells.index), obsm={"X_umap": np.zeros((7, 2))})
    run(bare, files[1], umap_from=given)
    assert "gauge" not in capsys.readouterr().err, "no map is computed"
    with pytest.raises(InputError, match="has no gauge"):
        run(bare, files[1], space="canonical")


def draws(n_motifs, n_shuffles, size=6, seed=0):
    """Random changes of the peak embedding, of different sizes, and random cells."""
    rng = np.random.default_rng(seed)
    changes = rng.normal(size=(n_motifs, 1 + n_shuffles, size)) * rng.uniform(0.1, 3, (n_motifs, 1, 1)) * np.arange(1, size + 1)
    return changes, rng.normal(0.3, 1, (50, size)).astype(np.float32)


def test_the_tests_against_shuffles_are_those_of_a_loop_over_cells():
    changes, cells = draws(4, 7)
    changes[0, 0] += 40
    tests = shuffle_tests(changes, cells)
    for row, of_motif in enumerate(changes):
        scores = of_motif @ cells.T.astype(float)
        mean, means = scores[0].mean(), scores[1:].mean(axis=1)
        t = (mean - means.mean()) / (means.std(ddof=1) * np.sqrt(1 + 1 / 7))
        assert tests["p_mean"][row] == pytest.approx(2 * stats.t.sf(abs(t), 6), rel=1e-4)
        profiles = scores - scores.mean(axis=1, keepdims=True)
        variances = np.linalg.eigvalsh(np.cov(profiles[1:].T)).clip(0)
        degrees = variances.sum() ** 2 / (variances**2).sum()
        distance = ((profiles[0] - profiles[1:].mean(axis=0)) ** 2).sum() / (1 + 1 / 7)
        assert tests["p_spread"][row] == pytest.approx(stats.f.sf(distance / variances.sum(), degrees, 6 * degrees), rel=1e-3)
        assert tests["shuffled_mean"][row] == pytest.approx(means.mean())
        assert tests["shuffled_deviation"][row] == pytest.approx(means.std(ddof=1))
    both = np.minimum(2 * tests[["p_mean", "p_spread"]].min(axis=1), 1)
    np.testing.assert_allclose(tests["q"], stats.false_discovery_control(both))


def test_motifs_that_are_like_their_shuffles_have_uniform_p_and_no_discoveries():
    tests = shuffle_tests(*draws(2_000, 20))
    assert stats.kstest(tests["p_mean"], "uniform").pvalue > 0.01
    for p, level in ((tests["p_spread"], 0.05), (tests["p_spread"], 0.01)):
        assert (p <= level).mean() < level + 3 * np.sqrt(level / len(p))
    assert tests["responds"].sum() <= 1


def test_a_tiny_effect_and_one_by_rounding_count_as_ignored():
    changes, cells = draws(1, 10)
    shuffles = np.concatenate([changes[:, :1] * 1e-4, changes[:, 1:] * 1e-6], axis=1)
    small = shuffle_tests(shuffles, cells).iloc[0]
    assert small["q"] < 0.05
    assert not small["responds"]
    equal = np.tile(changes[:, :1], (1, 11, 1))
    assert shuffle_tests(equal, cells, rounding=1e-9)["q"].tolist() == [1]
    assert shuffle_tests(equal * (1 + 1e-7 * np.arange(11)[:, None]), cells, rounding=1e-3)["q"].tolist() == [1]
    assert shuffle_tests(np.concatenate([changes[:, :1], 0 * changes[:, 1:]], axis=1), cells, 1e-6)["responds"].tolist() == [True]


@pytest.mark.parametrize("more", [{}, {"both_strands": True, "instances": "consensus"}])
def test_shuffled_motifs_are_inserted_as_a_loop_inserts_them(model, files, more):
    options = MotifInsertionOptions(**{**files[1], "n_backgrounds": 3, "n_shuffles": 5, **more})
    motif = load_motifs(options.motifs)[0]
    backgrounds = dna.as_codes(toy.random_sequences(3), toy.LENGTH)
    changes = np.zeros((3, 6, 32))
    for background, instance, of_background in zip(backgrounds, instances(motif, 3, options), changes, strict=True):
        for order, change in zip(orders_of_positions(motif, options), of_background, strict=True):
            shuffled = instance[order]
            for written in (shuffled, dna.reverse_complement(shuffled))[: 2 if options.both_strands else 1]:
                edited = background.copy()
                edited[669:675] = written
                change += model.embed(edited[None])[0] - model.embed(background[None])[0]
    changes /= 2 if options.both_strands else 1
    assert orders_of_positions(motif, options)[0].tolist() == list(range(6))
    scores = changes @ model.cell_embedding.T.astype(float)
    differences = scores[:, 0] - scores[:, 1:].mean(axis=1)
    means = differences.mean(axis=1)
    profiles = differences - means[:, None]
    errors = np.array([[means.var(ddof=1), profiles.var(axis=0, ddof=1).mean()]]) / 3
    expected = shuffle_tests(changes.mean(axis=0)[None], model.cell_embedding, squared_errors=errors)
    sums = {}
    for part in shuffle_parts(options):
        add_sums(sums, insert_shuffled_motifs(model, [motif], backgrounds[part.first : part.last], options, part))
    found = compare_with_shuffled_motifs(model, sums, options)
    np.testing.assert_allclose(found["shuffled_mean"], expected["shuffled_mean"], atol=1e-4)
    if not options.both_strands:  # strands are two backgrounds in the error, and their mean in the loop
        np.testing.assert_allclose(found[["p_mean", "p_spread"]], expected[["p_mean", "p_spread"]], rtol=0.02)


def test_an_effect_in_one_of_many_backgrounds_does_not_count():
    changes, cells = draws(1, 20)
    changes[:, 0] += 50
    assert shuffle_tests(changes, cells)["responds"].tolist() == [True]
    scores = (changes[:, 0] - changes[:, 1:].mean(axis=1)) @ cells.T.astype(float)
    one_of_many = np.array([[scores.mean() ** 2, scores.var()]])  # the squared error of a mean that one background makes
    assert shuffle_tests(changes, cells, squared_errors=one_of_many)["responds"].tolist() == [False]


def test_active_factors_respond_and_inactive_ones_do_not(planted_result):
    simulation, _, _, result = planted_result
    responds = result.var["responds"]
    assert responds[simulation.activities.columns[simulation.activities.std() > 0.2]].all()
    assert not responds[simulation.tfs.index[~simulation.tfs["active"]]].any()


def test_a_network_that_knows_one_motif_responds_to_this_one_alone(planted, tmp_path):
    simulation, folder = planted
    model = sz.open_model(folder, "cpu")
    embedding = np.zeros((32, model.n_cells), np.float32)
    factor = list(simulation.tfs.index).index("CEBPA")
    embedding[factor] = np.random.default_rng(0).permutation(model.cell_embedding[:, factor])
    whole = onnx.load_model_from_string(model.package.model_bytes())
    trunk = extract_trunk(whole)
    trunk.producer_name, trunk.producer_version = whole.producer_name, whole.producer_version
    package = write_package(
        tmp_path / "one",
        card=toy.toy_card(cells={"default_group": "cell_type"}, genome=model.card.genome.model_dump()),
        model=with_head(trunk, embedding, model.cell_intercept),
        cells=model.cells,
        peaks=model.package.peaks(),
    )
    options = {"motifs": str(simulation.folder / "motifs.meme"), "genome": simulation.genome, "n_backgrounds": 20, "n_shuffles": 8}
    result = run(sz.open_model(package.folder, "cpu"), options)
    assert result.var_names[result.var["responds"]].tolist() == ["CEBPA"]
    described = MotifInsertion().describe(result)
    assert described.findings[0].startswith("1 of 24 motifs change the logits in another way than shuffled motifs")
    assert "ignores the other 23" in described.findings[0]
    assert "CEBPA" in described.findings[1]
    figure = MotifInsertion().plot(result)["factors_by_group"]
    colours = {label.get_text(): label.get_color() for label in figure.axes[0].get_xticklabels()}
    assert colours["CEBPA"] == "black"
    assert {colour for name, colour in colours.items() if name != "CEBPA"} <= {GREY}


@pytest.fixture(scope="module")
def at_chance(planted, tmp_path_factory):
    """Random weights, and thirty groups with long names: a network that has learnt nothing."""
    folder = tmp_path_factory.mktemp("chance")
    names = [f"group {i} of a column of cells whose names have as many as seventy-five letters" for i in range(30)]
    cells = pd.DataFrame({"cell_type": pd.Categorical(np.tile(names, 3))}, index=[f"cell-{i}" for i in range(90)])
    model = sz.open_model(toy.toy_package(folder / "toy", n_cells=90, cells=cells).folder, "cpu")
    return model, {
        "motifs": str(planted[0].folder / "motifs.meme"),
        "genome": toy.toy_genome(folder / "toy.fa"),
        "n_backgrounds": 8,
    }


def test_a_network_at_chance_responds_to_no_motif_and_this_comes_first(at_chance, tmp_path, capsys):
    model, options = at_chance
    result = run(model, options, n_shuffles=20, report=tmp_path / "r.html")
    assert is_ignored(result.var).all()
    assert stats.kstest(result.var["p_mean"], "uniform").pvalue > 0.01
    sentence = "The network ignores all 24 motifs: none changes the logits in another way than shuffled motifs"
    assert sentence in capsys.readouterr().err
    assert MotifInsertion().describe(result).findings[0].startswith(sentence)
    assert len(MotifInsertion().describe(result).findings) == 1
    assert sentence in (tmp_path / "r.html").read_text()
    figure = MotifInsertion().plot(result)["factors_by_group"]
    assert {label.get_color() for label in figure.axes[0].get_xticklabels()} == {GREY}
    rows = [label.get_text().split()[1] for label in figure.axes[0].get_yticklabels()]
    assert rows == [str(i) for i in range(30)]
    figure.draw_without_rendering()
    below, above = (ax.get_tightbbox() for ax in figure.axes[:2])
    assert above.y0 >= below.y1


def test_effects_of_groups_are_mean_raw_scores(planted_result):
    _, model, _, result = planted_result
    raw = pd.DataFrame(result.layers["score"], index=model.cells.index, columns=result.var_names)
    expected = raw.groupby(model.cells["cell_type"].astype(str)).mean().T
    effects = result.uns["group_effects"]
    assert effects.index.tolist() == result.uns["group_means"].index.tolist()
    np.testing.assert_allclose(effects[expected.columns].astype(float), expected.loc[effects.index], atol=1e-4)
    table = result.uns["contrast"]
    np.testing.assert_allclose(table["difference"], (expected["GMP"] - expected["CLP"])[table.index], atol=1e-4)


def test_the_tests_can_be_turned_off_and_this_is_stated(model, files, capsys):
    result = run(model, files[1], n_shuffles=0)
    assert "q" not in result.var
    assert "not tested against shuffled motifs, because of n_shuffles=0" in capsys.readouterr().err
    assert "not tested" in MotifInsertion().describe(result).findings[0]
    assert "factors_by_group" in MotifInsertion().plot(result)
    tested = run(model, files[1])
    np.testing.assert_array_equal(result.layers["score"], tested.layers["score"])
    assert MotifInsertion().tables(tested)["factors"].columns[:3].tolist() == ["tf", "mean", "deviation"]


def bad_options(folder):
    wide = "MEME version 4\n\nMOTIF W\nletter-probability matrix: w= 1345\n" + "0.25 0.25 0.25 0.25\n" * 1345
    (folder / "wide.meme").write_text(wide)
    (folder / "bad.meme").write_text(MEME.replace("0.9 0.1 0 0", "0.9 0.1 x 0"))
    (folder / "other.fa").write_text(">chr1\n" + "ACGT" * 100 + "\n")
    cells = [f"cell-{i}" for i in range(7)]
    return [
        ({"motifs": str(folder / "wide.meme")}, "1,345 bp wide"),
        ({"motifs": str(folder / "bad.meme")}, "bad.meme, line 6, motif M1"),
        ({"motifs": "nothing"}, "neither a MEME file"),
        ({"motif_names": ["SPI1"]}, "no motif SPI1"),
        ({"show": ["SPI1"]}, "show: there is no motif SPI1"),
        ({"genome": folder / "other.fa"}, "chr1 is 400 bp"),
        ({"n_backgrounds": 0}, "n_backgrounds"),
        ({"n_shuffles": 4}, "n_shuffles: .*5 or more, or 0 for no test"),
        ({"contrast": "cell_type:B"}, "COLUMN:GROUP:OTHER"),
        ({"contrast": "cell_type:B:B"}, "COLUMN:GROUP:OTHER"),
        ({"contrast": "treatment:a:b"}, "no column 'treatment'; they have cell_type"),
        ({"contrast": "cell_type:B:K"}, "no cell has the cell_type 'K'; the values are B, HSC, T"),
        ({"group_by": "treatment"}, "no column 'treatment'"),
        ({"group_by": "empty"}, "2 of 7 cells have no empty, such as 'cell-0'"),
        ({"group_by": "single"}, "all 7 cells have the single 's'"),
        ({"rna": measured(["x", "y", "z"], np.ones((3, 1)), ["FOO"])}, "rna holds 0 of the model's 7 cells"),
        ({"rna": measured(cells, np.ones((7, 1)), ["ENSG1"])}, "none of the 2 factors among its genes"),
        ({"rna": folder / "nothing.h5ad"}, "rna"),
        ({"rna": measured(cells, np.ones((7, 0)), [])}, "rna has no values: its X has no columns"),
        ({"rna": measured(cells, [[1]] * 4 + [[np.nan]] * 3, ["FOO"])}, "rna: the cell 'cell-4' has NaN or infinite values"),
        (
            {"rna": measured(cells, np.ones((7, 1)), ["FOO"]), "compare_with": measured(cells, [[np.inf]] * 7, ["FOO"])},
            "compare_with: the cell 'cell-0' has NaN or infinite values",
        ),
        (
            {"rna": ad.AnnData(obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=["FOO"]))},
            "rna has no values: its X is missing",
        ),
        ({"peaks": pd.DataFrame({"chrom": [], "start": [], "end": []})}, "There are no peaks"),
        ({"motif_names": []}, "no motif is chosen"),
        ({"compare_with": measured(cells, np.ones((7, 1)), ["FOO"])}, "compare_with needs rna"),
        ({"unknown": 1}, "unknown is not an option"),
    ]


def test_what_cannot_be_done_is_refused_before_any_work(files, tmp_path, monkeypatch):
    cells = toy.toy_cells()
    cells["empty"] = [None, None, *"abcde"]
    cells["single"] = "s"
    model = sz.open_model(toy.toy_package(tmp_path / "toy", cells=cells).folder, "cpu")
    monkeypatch.setattr(type(model), "embed", lambda *_, **__: pytest.fail("work was begun"))
    for number, (options, message) in enumerate(bad_options(tmp_path)):
        with pytest.raises(InputError, match=message):
            run(model, {**files[1], **options}, out=tmp_path / f"{number}.h5ad")
    assert not list(tmp_path.glob("*.h5ad"))


def test_a_default_group_that_is_no_use_costs_only_the_heat_map(files, tmp_path, capsys):
    cells = toy.toy_cells()
    cells["cell_type"] = "one"
    result = run(sz.open_model(toy.toy_package(tmp_path / "toy", cells=cells).folder, "cpu"), files[1])
    assert "group_means" not in result.uns
    assert capsys.readouterr().err.count("all 7 cells have the cell_type 'one'") == 1
    assert sorted(MotifInsertion().plot(result)) == ["umap"]


def test_it_runs_from_the_command_line(files, tmp_path):
    package, options = files
    arguments = [f"--{name}={value}" for name, value in options.items()]
    done = CliRunner().invoke(
        app,
        ["motif-insertion", str(package.folder), *arguments, "--n-backgrounds=3", "--motif-names=FOO", f"--out={tmp_path}/r.h5ad"],
    )
    assert done.exit_code == 0, done.output
    assert ad.read_h5ad(tmp_path / "r.h5ad").shape == (7, 1)


def test_it_runs_on_real_peaks_with_all_motifs_of_cisbp(blood_model, hg19_fasta, shared_data, tmp_path):
    motifs = str(shared_data / "motifs" / "cisbp_1.02_homo_sapiens.meme")
    options = {"motifs": motifs, "genome": hg19_fasta, "contrast": "cell_type:CLP:MEP", "n_backgrounds": 3}
    result = run(blood_model, options, out=tmp_path / "r.h5ad", plot=tmp_path / "plots", report=tmp_path / "r.html")
    assert result.shape == (533, 734)
    assert np.isfinite(result.X).all()
    assert result.uns["group_means"].columns.tolist() == ["tf", *sorted(blood_model.cells["cell_type"].unique())]
    assert sorted(path.name for path in (tmp_path / "plots").glob("*.png")) == [
        "factors_by_group.png",
        "precision_recall.png",
        "umap.png",
    ]


MILLION = """
import json, resource, sys
import numpy as np, pandas as pd
sys.path.insert(0, sys.argv[1])
import scbasset_zoo as sz, toy
folder, n_cells = sys.argv[2], 1_000_000
types = np.array(["a", "b", "c"])[np.arange(n_cells) % 3]
cells = pd.DataFrame({"cell_type": pd.Categorical(types)}, index=np.arange(n_cells).astype(str))
toy.toy_package(folder + "/toy", n_cells=n_cells, cells=cells)
toy.toy_genome(folder + "/toy.fa")
model = sz.open_model(folder + "/toy", device="cpu")
result = sz.run("motif-insertion", model, motifs="jaspar-vertebrates", genome=folder + "/toy.fa", n_backgrounds=4, quiet=True,
                contrast="cell_type:a:b", out=folder + "/r.h5ad")
column = np.asarray(result.X[:, 100:101])
assert abs(column.mean()) < 1e-3 and abs(column.std() - 1) < 1e-3
print(json.dumps({"shape": result.shape, "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""


@pytest.mark.slow
def test_a_million_cells_and_all_of_jaspar_take_less_than_8_gib(tmp_path):
    tests = str(Path(__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", MILLION, tests, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    used = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{used['shape']}: {used['bytes'] / 2**30:.2f} GiB at the most")
    assert used["shape"][0] == 1_000_000
    assert used["shape"][1] > 700
    assert used["bytes"] < 8 * 2**30
