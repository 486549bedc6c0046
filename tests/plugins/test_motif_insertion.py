"""Motif insertion: its scores are those of a plain loop, recover what was simulated, and agree with other libraries."""

import json
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from helpers import toy
from helpers.embedded import SIZE, embedded_package, groups
from helpers.rounding import ROUNDING
from scbasset_zoo_plugins.motif_insertion import analysis as motif_insertion
from scbasset_zoo_plugins.motif_insertion.analysis import MotifInsertion
from scbasset_zoo_plugins.motif_insertion.backgrounds import shuffled_backgrounds
from scbasset_zoo_plugins.motif_insertion.factor_scores import parse_contrast, signed_rank
from scbasset_zoo_plugins.motif_insertion.inputs import MotifInsertionOptions
from scbasset_zoo_plugins.motif_insertion.scores import instances, logit_scores
from scbasset_zoo_plugins.motifs.loading import load_motifs
from scipy import sparse, stats
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.run import app
from scbasset_zoo.errors import InputError
from scbasset_zoo.graph.plain_run import run_plainly
from scbasset_zoo.inputs import dna
from scbasset_zoo.inputs.genome import Genome

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
    return sz.run("motif-insertion", model, quiet=True, **{"n_backgrounds": 5, **options, **more})


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
        return outputs["logits"].astype(np.float64) - model.cell_intercept

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
@pytest.mark.parametrize("more", [{}, {"both_strands": True, "instances": "consensus"}])
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
    return simulation, model, options, run(model, options, contrast="cell_type:GMP:CLP")


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
    result = run(model, files[1], umap=given)
    np.testing.assert_array_equal(result.obsm["X_umap"], points[::-1])
    given.obsm["X_umap"] = sparse.csr_matrix(points)
    np.testing.assert_array_equal(run(model, files[1], umap=given).obsm["X_umap"], points[::-1])
    with pytest.raises(InputError, match="X_umap"):
        run(model, files[1], umap=given[:5].copy())


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
