"""Denoised values do not follow the depth of cells; the published recipe, and models without a gauge, are as before."""

import re
import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from helpers import toy
from scbasset_zoo_plugins.denoise.depth import CHANGE, CORRELATION
from scipy.special import expit

import scbasset_zoo as sz
from scbasset_zoo.zoo.bundled import bundled_folder

SILHOUETTE = "silhouette width of labels, 1 - Pearson, as 0..1"


@pytest.fixture(scope="module")
def simulation(tmp_path_factory):
    """What the model that comes with the project was fitted to; its card has the command."""
    folder = tmp_path_factory.mktemp("simulation")
    return sz.simulate(folder / "data", n_cells=150, n_peaks=3_000, density=0.15, quiet=True)


@pytest.fixture(scope="module")
def fitted(simulation, tmp_path_factory):
    """The model that comes with the project, a real fit, with a gauge."""
    package = bundled_folder() / "scbasset" / "demo" / "0.1.0"
    out = tmp_path_factory.mktemp("fitted") / "demo"
    return sz.open_model(sz.add_gauge(package, genome=simulation.genome, out=out).folder, "cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return sz.open_model(toy.toy_package(tmp_path_factory.mktemp("with") / "toy", n_cells=60).folder, "cpu")


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """The same model without a gauge."""
    return sz.open_model(toy.toy_package(tmp_path_factory.mktemp("without") / "toy", n_cells=60, gauge=False).folder, "cpu")


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


@pytest.fixture(scope="module")
def counts():
    """Counts at peaks of the toy genome."""
    rng = np.random.default_rng(5)
    peaks = toy.toy_peaks(40, seed=3)[["chrom", "start", "end"]]
    x = rng.poisson(rng.uniform(0.2, 0.8, (60, 1)), (60, 40)).astype(np.float32)
    return ad.AnnData(x, obs=toy.toy_cells(60)[[]], var=peaks.set_axis([f"peak-{i}" for i in range(40)]))


@pytest.mark.parametrize("output", ["logits", "accessibility"])
def test_means_of_cells_follow_depth_less_than_by_the_published_recipe_and_types_stay_apart(fitted, simulation, output):
    """Over all peaks, also those not trained on. Types differ in depth, so a correlation is left; means hardly change with it."""
    options = {"genome": simulation.genome, "counts": simulation.matrix, "group_by": "cell_type", "output": output}
    table = sz.run("denoise", fitted, quiet=True, **options).uns["depth"]
    canonical, published = table.loc["canonical"], table.loc["published"]
    assert table.loc["counts", CORRELATION] > 0.95
    assert published[CORRELATION] > 0.8
    assert abs(canonical[CHANGE]) <= published[CHANGE] / 3
    if output == "logits":
        assert abs(canonical[CHANGE]) <= published[CHANGE] / 20
    for name in (SILHOUETTE, "label score at 10, PCA(50)", "label score at 50, PCA(50)"):
        # By chance, these scores have a standard deviation of about 0.01. Probabilities lose more of what depth says about types.
        assert canonical[name] >= published[name] - (0.02 if output == "logits" else 0.06), name


def test_over_the_training_peaks_the_logits_of_all_cells_have_the_same_mean(fitted, simulation):
    peaks = fitted.package.peaks()
    training = peaks[peaks["split"] == "train"]
    result = sz.run("denoise", fitted, genome=simulation.genome, counts=simulation.matrix, peaks=training, quiet=True)
    table = result.uns["depth"]
    assert np.abs(result.X.mean(axis=1)).max() < 1e-4
    assert table.loc["canonical", CORRELATION] == table.loc["canonical", CHANGE] == 0
    assert abs(table.loc["canonical", CORRELATION]) <= table.loc["published", CORRELATION] / 3


def test_the_table_of_depth_is_what_the_matrices_give(model, genome, counts):
    for output in ("logits", "accessibility"):
        results = {
            depth: sz.run("denoise", model, genome=genome, counts=counts, depth=depth, output=output, group_by="cell_type")
            for depth in ("canonical", "published")
        }
        n_open = (counts.X > 0).sum(axis=1)
        means = {"counts": n_open / 40} | {depth: result.X.mean(axis=1) for depth, result in results.items()}
        for result in results.values():
            assert list(result.uns["depth"].index) == ["counts", "canonical", "published"]
            for name, values in means.items():
                r = np.corrcoef(values, np.log(n_open))[0, 1]
                row = result.uns["depth"].loc[name]
                np.testing.assert_allclose(row[[CORRELATION, CHANGE]].astype(float), [r, r * values.std()], rtol=1e-3, atol=1e-6)
                side = "counts" if name == "counts" else "denoised"
                metrics = results.get(name, result).uns["metrics"][side]
                np.testing.assert_allclose(row[metrics.index].astype(float), metrics, atol=1e-12)


def test_without_counts_depth_is_the_number_of_open_peaks_of_the_cells_or_that_of_the_model(model, without, genome, tmp_path):
    for each, depth in ((model, model.depth), (without, without.cell_intercept)):
        result = sz.run("denoise", each, genome=genome, quiet=True)
        r = np.corrcoef(result.X.mean(axis=1), depth)[0, 1]
        assert result.uns["depth"][CORRELATION].iloc[0] == pytest.approx(r, abs=1e-4)
    n_open = np.random.default_rng(0).integers(50, 500, 60)
    cells = toy.toy_cells(60).assign(n_open_peaks=n_open)
    counted = sz.open_model(toy.toy_package(tmp_path / "counted", n_cells=60, cells=cells).folder, "cpu")
    result = sz.run("denoise", counted, genome=genome, quiet=True)
    r = np.corrcoef(result.X.mean(axis=1), np.log(n_open))[0, 1]
    assert result.uns["depth"].loc["canonical", CORRELATION] == pytest.approx(r, abs=1e-4)


@pytest.mark.parametrize("output", ["logits", "accessibility"])
def test_published_depth_gives_exactly_the_numbers_without_a_gauge(model, without, genome, counts, output, capsys):
    options = {"genome": genome, "counts": counts, "group_by": "cell_type", "output": output, "quiet": True}
    published = sz.run("denoise", model, depth="published", **options)
    assert "no gauge" not in capsys.readouterr().err
    before = sz.run("denoise", without, **options)
    assert capsys.readouterr().err.count("has no gauge") == 1
    np.testing.assert_array_equal(published.X, before.X)
    pd.testing.assert_frame_equal(published.uns["metrics"], before.uns["metrics"])
    windows = model.peak_windows(counts.var, genome)
    logits = model.cell_embedding @ model.embed(windows.read(0, len(windows))).T
    np.testing.assert_array_equal(published.X, logits if output == "logits" else expit(logits))
    assert published.uns["denoise"]["depth"] == before.uns["denoise"]["depth"] == "published"
    assert list(before.uns["depth"].index) == ["counts", "published"]


def test_canonical_depth_of_a_model_without_a_gauge_is_an_error_before_any_work(without, genome, tmp_path):
    with pytest.raises(sz.InputError, match="no gauge.*scbasset-zoo add-gauge"):
        sz.run("denoise", without, genome=genome, depth="canonical", out=tmp_path / "out.h5ad")
    with pytest.raises(sz.InputError, match="depth: "):
        sz.run("denoise", without, genome=genome, depth="canonicle")
    assert not list(tmp_path.iterdir())


def test_the_command_chooses_and_records_the_depth(model, without, genome, tmp_path):
    def run(each, name, *options):
        command = [sys.executable, "-m", "scbasset_zoo", "run", "denoise", each.package.folder, "--genome", genome]
        command += ["--out", tmp_path / f"{name}.h5ad", "--report", tmp_path / f"{name}.html", "--device", "cpu", *options]
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)

    assert run(model, "default").returncode == 0
    assert run(model, "published", "--depth", "published").returncode == 0
    default, published = (ad.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("default", "published"))
    difference = (default.X - published.X) + (model.depth - model.cell_intercept)[:, None]
    np.testing.assert_allclose(difference, 0, atol=1e-5)
    assert [result.uns["scbasset_zoo"]["depth"] for result in (default, published)] == ["canonical", "published"]
    report = re.sub(r"\s+", " ", (tmp_path / "default.html").read_text())
    assert "mean logit of the cell over the training peaks (canonical depth)" in report
    assert "change with depth" in report
    refused = run(without, "refused", "--depth", "canonical")
    assert refused.returncode == 1
    assert "no gauge" in refused.stderr
    assert "Traceback" not in refused.stderr
