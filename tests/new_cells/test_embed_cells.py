"""New cells are embedded by a fitted model: they land where they belong, with labels, distances and provenance."""

import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from helpers import toy
from scipy import sparse
from scipy.special import expit

import scbasset_zoo as sz
from scbasset_zoo.errors import InputError
from scbasset_zoo.new_cells.figures import ModelCells, draw_new_cells
from scbasset_zoo.new_cells.label_transfer import mean_distances, nearest_cells, transfer_labels
from scbasset_zoo.package.verifying import verify_package

N_PEAKS, N_CELLS = 700, 12


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return sz.open_model(toy.toy_package(tmp_path_factory.mktemp("model") / "toy", n_cells=N_CELLS).folder, "cpu")


@pytest.fixture(scope="module")
def corrected(tmp_path_factory):
    return sz.open_model(toy.toy_corrected_package(tmp_path_factory.mktemp("model") / "toy", n_cells=N_CELLS).folder, "cpu")


def random_peaks(seed=0):
    rng = np.random.default_rng(seed)
    start = np.sort(rng.choice(toy.CHROMOSOME_SIZES["chr1"] - 700, N_PEAKS, replace=False))
    return pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 500}, index=[f"chr1:{s}-{s + 500}" for s in start])


def drawn(model, genome, copies=3, seed=0, batch_effects=False):
    """Return an AnnData of new cells, each drawn from the accessibility of a cell of the model, `copies` times."""
    peaks = random_peaks()
    source = np.tile(np.arange(model.n_cells), copies)
    windows = model.peak_windows(peaks, genome)
    peak_embedding = model.embed(windows.read(0, len(windows)))
    embedding, intercept = model.head(batch_effects=batch_effects)
    # The toy's cells differ little: three times their effect.
    centred = peak_embedding - peak_embedding.mean(axis=0)
    logits = 3 * centred @ embedding[source].T + intercept[source]
    is_open = np.random.default_rng(seed).random(logits.shape) < expit(logits)
    obs = pd.DataFrame(
        {"source": source, "batch": model.cells["batch"].to_numpy()[source]}, index=[f"new-{i}" for i in range(len(source))]
    )
    return ad.AnnData(sparse.csr_matrix(is_open.T.astype(np.float32)), obs=obs, var=peaks)


def test_new_cells_are_the_regression_of_their_open_peaks(model, genome):
    """The embedding is that of scikit-learn on the model's peak embeddings, in the canonical coordinates."""
    from sklearn.linear_model import LogisticRegression

    matrix = drawn(model, genome)
    result = sz.embed_cells(model, matrix, genome=genome, ridge=2.0, min_cell_fraction=0, max_n_fraction=1, quiet=True)
    windows = model.peak_windows(matrix.var, genome)
    peak_embedding = model.embed(windows.read(0, len(windows))).astype(float)
    values, vectors = np.linalg.eigh(model.gauge.covariance)
    is_used = values > 1e-7 * values.max()
    whitened = (peak_embedding - model.gauge.mean) @ (vectors[:, is_used] / np.sqrt(values[is_used]))
    for cell in (0, 7):
        alone = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(whitened, matrix.X[cell].toarray()[0])
        found = peak_embedding @ result.obsm["X_scbasset"][cell] + result.obs["depth_intercept"].iloc[cell]
        np.testing.assert_allclose(found, alone.decision_function(whitened), atol=2e-3)
    canonical = model.canonical_space.embedding(result.obsm["X_scbasset"])
    np.testing.assert_allclose(result.obsm["X_scbasset_canonical"], canonical)
    depth = result.obsm["X_scbasset"].astype(float) @ model.gauge.mean + result.obs["depth_intercept"]
    np.testing.assert_allclose(result.obs["depth"], depth, atol=1e-4)
    assert result.obs["n_open_peaks"].tolist() == np.diff(matrix.X.indptr).tolist()
    assert result.obs["source"].tolist() == matrix.obs["source"].tolist()
    assert result.obs["converged"].all()


def test_new_cells_of_one_source_land_together(model, genome):
    """Cells that were drawn from one cell of the model are nearer to each other than to others."""
    matrix = drawn(model, genome, copies=4)
    result = sz.embed_cells(model, matrix, genome=genome, quiet=True)
    positions, source = result.obsm["X_scbasset_canonical"], result.obs["source"].to_numpy()
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (source[distance.argmin(axis=1)] == source).mean() > 0.5  # 3 of 47 by chance
    assert result.uns["held_out"]["deviance_explained"].max() > 0.02


def test_other_peaks_of_the_same_cells_give_nearly_the_same_place(model, genome):
    matrix = drawn(model, genome, copies=4)
    halves = [sz.embed_cells(model, matrix[:, first::2].copy(), genome=genome, ridge=3.0, quiet=True) for first in (0, 1)]
    one, two = (half.obsm["X_scbasset_canonical"] for half in halves)
    distance = np.linalg.norm(one[:, None] - two[None], axis=2)
    source = matrix.obs["source"].to_numpy()
    assert (source[distance.argmin(axis=1)] == source).mean() > 0.4  # 4 of 48 by chance


def test_labels_are_those_of_the_nearest_cells():
    reference = np.array([[0, 0], [0, 1], [1, 0], [9, 9], [9, 8], [8, 9]], dtype=np.float32)
    new = np.array([[0.2, 0.2], [8.8, 8.9], [40, 40]], dtype=np.float32)
    nearest, distance = nearest_cells(reference, new, 3)
    assert set(nearest[0]) == {0, 1, 2}
    assert distance[1] == pytest.approx(np.linalg.norm(reference[3:] - new[1], axis=1).mean(), rel=1e-5)
    others = np.linalg.norm(reference[[1, 2]] - new[0], axis=1).mean()
    assert mean_distances(reference, new[:1], 2, without=np.array([0])) == pytest.approx(others, rel=1e-5)
    labels, confidence = transfer_labels(pd.Series(["B", "B", "T", "T", None, "T"]), nearest)
    assert list(labels) == ["B", "T", "T"]
    assert confidence.tolist() == pytest.approx([2 / 3, 1, 1])
    assert pd.isna(transfer_labels(pd.Series([None, "A"], dtype=object), np.array([[0, 0]]))[0][0])


def test_the_same_number_of_votes_goes_to_the_nearest():
    labels, confidence = transfer_labels(pd.Series(["B", "T"]), np.array([[0, 1], [1, 0]]))
    assert list(labels) == ["B", "T"]
    assert confidence.tolist() == [0.5, 0.5]


def test_the_effect_of_a_known_batch_is_taken_away(corrected, genome):
    """Cells with batch effects, embedded with their batch, are those without batch effects but for noise."""
    matrix = drawn(corrected, genome, copies=4, batch_effects=True)
    options = {"genome": genome, "ridge": 1.0, "quiet": True}
    known = sz.embed_cells(corrected, matrix, batch_key="batch", **options)
    ignored = sz.embed_cells(corrected, matrix, **options)
    path, number = corrected.batches, (matrix.obs["batch"] == "b2").to_numpy().astype(int)
    difference = ignored.obsm["X_scbasset"] - known.obsm["X_scbasset"]
    expected = path.embedding.T[number]
    # The ridge pulls both towards 0, so the difference is the effect of the batch but for that.
    assert np.corrcoef(difference.ravel(), expected.ravel())[0, 1] > 0.8


def test_the_effect_of_an_unknown_batch_is_what_its_cells_have_in_common(corrected, genome, capsys):
    matrix = drawn(corrected, genome, copies=4)
    matrix.obs["donor"] = np.where(np.arange(matrix.n_obs) % 2, "b1", "new")
    options = {"genome": genome, "ridge": 1.0, "batch_key": "donor", "quiet": True}
    left, fitted = sz.embed_cells(corrected, matrix, **options), sz.embed_cells(corrected, matrix, unknown_batches="fit", **options)
    assert "does not know the batches new; it knows b1, b2" in capsys.readouterr().err
    is_new = (matrix.obs["donor"] == "new").to_numpy()
    np.testing.assert_allclose(fitted.obsm["X_scbasset"][~is_new], left.obsm["X_scbasset"][~is_new], atol=1e-6)
    mean = fitted.obsm["X_scbasset"][is_new].mean(axis=0)
    np.testing.assert_allclose(mean, corrected.cell_embedding.mean(axis=0), atol=1e-5)
    effect = fitted.uns["batch_effects"]["new"]
    difference = left.obsm["X_scbasset"][is_new] - fitted.obsm["X_scbasset"][is_new]
    np.testing.assert_allclose(difference, np.tile(effect[:-1], (is_new.sum(), 1)), atol=1e-5)


def test_cells_with_few_open_peaks_are_embedded_and_flagged(model, genome):
    matrix = drawn(model, genome)
    few = matrix.X.tolil()
    few[0] = 0
    few[0, :5] = 1
    matrix.X = few.tocsr()
    result = sz.embed_cells(model, matrix, genome=genome, min_cell_fraction=0, quiet=True)
    assert result.obs["few_open_peaks"].tolist() == (np.diff(matrix.X.indptr) < 33).tolist()
    assert result.obs["few_open_peaks"].iloc[0]
    assert np.isfinite(result.obsm["X_scbasset"]).all()


def test_cells_that_the_model_explains_nothing_of_are_said(model, genome, capsys):
    matrix = drawn(model, genome)
    rng = np.random.default_rng(0)
    matrix.X = sparse.csr_matrix((rng.random(matrix.shape) < 0.1).astype(np.float32))
    sz.embed_cells(model, matrix, genome=genome, ridge=0.1, quiet=True)
    assert "The model explains nothing of these cells" in capsys.readouterr().err


def test_barcodes_of_the_model_are_said(model, genome, capsys):
    matrix = drawn(model, genome)
    matrix.obs_names = [*model.cells.index[:2], *matrix.obs_names[2:]]
    sz.embed_cells(model, matrix, genome=genome, ridge=1.0, quiet=True)
    assert "2 of 36 barcodes are those of cells of the model, first 'cell-0'" in capsys.readouterr().err


def test_the_models_own_cells_land_near_their_place(model, genome):
    matrix = drawn(model, genome)
    own = drawn(model, genome, copies=1, seed=5)
    own.obs_names = model.cells.index
    result = sz.embed_cells(model, matrix, genome=genome, training_matrix=own, quiet=True)
    refitted = result.uns["refitted"]
    assert refitted["n_cells"] == N_CELLS
    assert refitted["chance_nearest"] == pytest.approx(1 / N_CELLS)
    assert refitted["share_nearest"] > 2 / N_CELLS
    own.obs_names = [f"x{i}" for i in range(N_CELLS)]
    with pytest.raises(InputError, match="has none of the model's cells"):
        sz.embed_cells(model, matrix, genome=genome, training_matrix=own, quiet=True)


def test_new_cells_are_placed_in_the_umap_of_the_model(model, genome, tmp_path):
    matrix = drawn(model, genome)
    reference = ad.AnnData(obs=model.cells.iloc[::-1].copy())
    reference.obsm["X_umap"] = np.random.default_rng(0).normal(size=(N_CELLS, 2))
    reference.write_h5ad(tmp_path / "cells.h5ad")
    result = sz.embed_cells(model, matrix, genome=genome, umap_from=tmp_path / "cells.h5ad", n_neighbours=3, ridge=1.0, quiet=True)
    of_model = pd.DataFrame(reference.obsm["X_umap"], index=reference.obs_names).loc[model.cells.index].to_numpy()
    expected = [np.median(of_model[nearest], axis=0) for nearest in result.obsm["nearest_cells"]]
    np.testing.assert_allclose(result.obsm["X_umap"], expected)
    reference[:5].copy().write_h5ad(tmp_path / "few.h5ad")
    with pytest.raises(InputError, match="lacks 7 of the model's 12 cells"):
        sz.embed_cells(model, matrix, genome=genome, umap_from=tmp_path / "few.h5ad", ridge=1.0, quiet=True)


def test_new_cells_have_a_graph_of_their_neighbours(model, genome, capsys):
    """Each cell's neighbours are the nearest new cells in the canonical space; scanpy can cluster by the graph."""
    import scanpy as sc
    from sklearn.neighbors import NearestNeighbors

    matrix = drawn(model, genome, copies=4)
    result = sz.embed_cells(model, matrix, genome=genome, ridge=1.0, n_neighbours=6, quiet=True)
    canonical = result.obsm["X_scbasset_canonical"]
    distances, cells = NearestNeighbors(n_neighbors=6).fit(canonical).kneighbors(canonical)
    graph = result.obsp["distances"].toarray()
    for cell in range(result.n_obs):
        np.testing.assert_allclose(graph[cell, cells[cell, 1:]], distances[cell, 1:], rtol=1e-4)
        assert (graph[cell] > 0).sum() == 5
    assert result.uns["neighbors"]["params"]["use_rep"] == "X_scbasset_canonical"
    sc.tl.leiden(result, flavor="igraph", n_iterations=2)
    assert result.obs["leiden"].nunique() > 1
    few = sz.embed_cells(model, matrix[:3].copy(), genome=genome, ridge=1.0, min_cell_fraction=0, quiet=True)
    assert "3 new cells are too few for a graph of neighbours" in capsys.readouterr().err
    assert not few.obsp


def test_the_figure_has_new_cells_beside_the_models(model, genome, tmp_path):
    """Its numbers are those of the result; labels with $ or many labels are drawn, too."""
    matrix = drawn(model, genome)
    reference = ad.AnnData(obs=model.cells.copy())
    reference.obsm["X_umap"] = np.random.default_rng(0).normal(size=(N_CELLS, 2))
    reference.write_h5ad(tmp_path / "cells.h5ad")
    result = sz.embed_cells(
        model, matrix, genome=genome, ridge=1.0, umap_from=tmp_path / "cells.h5ad", graph=False, plot=tmp_path / "plots", quiet=True
    )
    assert (tmp_path / "plots" / "new_cells.png").stat().st_size > 10_000
    with pytest.raises(InputError, match="exists"):
        sz.embed_cells(model, matrix, genome=genome, ridge=1.0, graph=False, plot=tmp_path / "plots", quiet=True)
    figure = draw_new_cells(result, ModelCells(model.depth, model.cells["cell_type"], reference.obsm["X_umap"]))
    places, confidence, likeness, depth = figure.axes
    drawn_points = np.concatenate([dots.get_offsets() for dots in places.collections[1:]])
    assert sorted(map(tuple, drawn_points)) == sorted(map(tuple, result.obsm["X_umap"]))
    heights = [bar.get_height() for bar in confidence.patches if hasattr(bar, "get_height")]
    assert sum(heights) == pytest.approx(1)
    assert f"{result.obs['unlike_model'].mean():.1%} unlike the model (chance 1%)" == likeness.get_title()
    assert depth.get_title() == "depth"
    assert len(draw_new_cells(result, ModelCells(model.depth, None, None)).axes) == 2


def test_bad_input_is_refused(model, genome, tmp_path):
    matrix = drawn(model, genome)
    elsewhere = matrix.copy()
    elsewhere.var["chrom"] = "chr9"
    elsewhere.var_names = [f"p{i}" for i in range(N_PEAKS)]
    repeated = matrix.copy()
    repeated.obs_names = ["a", *matrix.obs_names[:-2], "a"]
    for bad, options, message in (
        (elsewhere, {}, "has no chromosome chr9"),
        (repeated, {}, "have the name of another cell"),
        (matrix, {"batch_key": "batch"}, "is not batch-corrected"),
        (matrix, {"group_by": "cell_typ"}, "Did you mean 'cell_type'"),
        (matrix, {"ridge": 0}, "ridge: must be more than 0"),
        (matrix, {"out": tmp_path / "x.csv"}, "ends in .h5ad or .zarr"),
    ):
        with pytest.raises(InputError, match=message):
            sz.embed_cells(model, bad, genome=genome, quiet=True, **options)
    without = sz.open_model(toy.toy_package(tmp_path / "toy", gauge=False).folder, "cpu")
    with pytest.raises(InputError, match="add-gauge"):
        sz.embed_cells(without, matrix, genome=genome, quiet=True)


def test_the_command_writes_what_python_returns(model, genome, tmp_path):
    matrix = drawn(model, genome)
    matrix.write_h5ad(tmp_path / "new.h5ad")
    command = [sys.executable, "-m", "scbasset_zoo", "embed-cells", str(model.package.folder), "new.h5ad", "--genome", str(genome),
               "--out", "cells.h5ad", "--device", "cpu", "--no-graph", "--plot", "figures"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "36 cells embedded by scbasset/toy 1.0.0 from" in done.stdout
    assert "chance 0%" in done.stdout
    assert sorted(file.name for file in (tmp_path / "figures").iterdir()) == ["new_cells.pdf", "new_cells.png"]
    written = ad.read_h5ad(tmp_path / "cells.h5ad")
    assert not written.obsp
    returned = sz.embed_cells(model, matrix, genome=genome, quiet=True)
    np.testing.assert_allclose(written.obsm["X_scbasset"], returned.obsm["X_scbasset"], atol=1e-5)
    assert written.obs["cell_type_of_model"].tolist() == returned.obs["cell_type_of_model"].tolist()
    assert written.uns["scbasset_zoo"]["card_sha256"] == model.card_sha256


def test_the_new_cells_join_a_package_that_verifies(model, genome, tmp_path):
    matrix = drawn(model, genome)
    result = sz.embed_cells(model, matrix, genome=genome, ridge=1.0, extend=tmp_path / "both", quiet=True)
    both = sz.open_model(str(tmp_path / "both"), "cpu")
    assert verify_package(tmp_path / "both") == []
    assert both.cells.index.tolist() == [*model.cells.index, *matrix.obs_names]
    np.testing.assert_array_equal(both.cell_embedding[model.n_cells :], result.obsm["X_scbasset"])
    np.testing.assert_array_equal(both.cell_intercept[: model.n_cells], model.cell_intercept)
    lineage = both.card.lineage
    assert (lineage.parent.card_sha256, lineage.n_new_cells) == (model.card_sha256, matrix.n_obs)
    assert lineage.settings["ridge"] == 1
    sz.embed_cells(model, matrix, genome=genome, ridge=1.0, extend=tmp_path / "alone", alone=True, quiet=True)
    assert sz.open_model(str(tmp_path / "alone"), "cpu").n_cells == matrix.n_obs
    matrix.obs_names = [*model.cells.index, *matrix.obs_names[model.n_cells :]]
    with pytest.raises(InputError, match="12 of 36 barcodes are those of cells of the model.* A package cannot have both"):
        sz.embed_cells(model, matrix, genome=genome, ridge=1.0, extend=tmp_path / "third", quiet=True)
    assert not (tmp_path / "third").exists()


def test_cells_of_the_model_are_expected_and_others_are_unlike_it(model, genome):
    """Cells drawn from the model's own predictions are flagged by chance alone; cells with effects of their own are flagged."""
    peaks = random_peaks()
    windows = model.peak_windows(peaks, genome)
    embedding = model.embed(windows.read(0, len(windows)))
    rng = np.random.default_rng(0)
    source = rng.integers(model.n_cells, size=200)
    own = embedding @ model.cell_embedding[source].T + model.cell_intercept[source]
    away = own + 40 * (embedding - embedding.mean(axis=0)) @ rng.normal(size=(embedding.shape[1], 1)).astype(np.float32)
    flagged = []
    for logits in (own, away):
        is_open = sparse.csr_matrix((rng.random(logits.shape) < expit(logits)).T.astype(np.float32))
        matrix = ad.AnnData(is_open, obs=pd.DataFrame(index=[f"c{i}" for i in range(200)]), var=peaks)
        result = sz.embed_cells(model, matrix, genome=genome, ridge=1.0, min_cell_fraction=0, quiet=True)
        flagged.append(result.obs["unlike_model"].mean())
    assert flagged[0] < 0.2
    assert flagged[1] > 0.8


def test_unknown_batches_are_said_once_and_follow_the_kept_cells(corrected, genome, capsys):
    """A cell that the filter leaves out takes its batch with it."""
    matrix = drawn(corrected, genome, copies=4)
    matrix.obs["donor"] = ["other", *np.where(np.arange(1, matrix.n_obs) % 2, "b1", "b2")]
    few = matrix.X.tolil()
    few[0] = 0
    matrix.X = few.tocsr()
    options = {"genome": genome, "ridge": 1.0, "batch_key": "donor", "min_peaks_per_cell": 1, "quiet": True}
    result = sz.embed_cells(corrected, matrix, **options)
    assert capsys.readouterr().err.count("does not know the batches") == 1
    rest = matrix[1:].copy()
    np.testing.assert_allclose(result.obsm["X_scbasset"], sz.embed_cells(corrected, rest, **options).obsm["X_scbasset"], atol=1e-4)
