"""The analysis `embedding`: its result, figures and errors, from Python and from the command line."""

import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from helpers.embedded import SIZE, distances, embedded_package, fitted, groups, nearest
from scbasset_zoo_plugins.embedding.analysis import Embedding
from scbasset_zoo_plugins.embedding.leiden import search_resolution
from sklearn.metrics import adjusted_rand_score
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo import InputError
from scbasset_zoo.cli.run import app
from scbasset_zoo.extend.neighbours import add_neighbours
from scbasset_zoo.graph.gauge import Gauge


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """240 cells of four types that lie apart."""
    embedding, cells = groups()
    cells["some"] = cells["cell_type"].where(np.arange(240) != 7)
    cells["same"] = "one"
    cells["pair"] = [f"pair{i // 2}" for i in range(240)]
    return embedded_package(tmp_path_factory.mktemp("embedded") / "model", embedding, cells)


@pytest.fixture(scope="module")
def model(package):
    return sz.open_model(package.folder, "cpu")


@pytest.fixture(scope="module")
def rna(model):
    """RNA of all cells but ten, in another order, whose embedding is the model's with noise; and a key without meaning."""
    rng = np.random.default_rng(1)
    kept = rng.permutation(240)[:230]
    embedding = model.cell_embedding[kept] + rng.normal(0, 0.2, (230, SIZE))
    obs = pd.DataFrame(index=model.cells.index[kept])
    return ad.AnnData(obs=obs, obsm={"X_pca": embedding, "X_holes": np.full((230, 2), np.nan)})


@pytest.fixture(scope="module")
def written(package, rna, tmp_path_factory):
    """Folder with the result, figures and page of the command with labels and RNA, and what Python had loaded at its end."""
    folder = tmp_path_factory.mktemp("written")
    rna.write_h5ad(folder / "rna.h5ad")
    code = "import sys; from scbasset_zoo.cli.main import main\ntry: main()\nfinally: print(*sys.modules)"
    places = {"out": "cells.h5ad", "plot": "figures", "report": "page.html", "rna": "rna.h5ad"}
    options = [part for name, place in places.items() for part in (f"--{name}", folder / place)]
    command = ["run", "embedding", package.folder, "--group-by", "cell_type", "--device", "cpu", *options]
    ran = subprocess.run([sys.executable, "-c", code, *map(str, command)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (folder / "loaded.txt").write_text(ran.stdout.splitlines()[-1])
    return folder


def test_the_result_is_cells_that_scanpy_reads_as_they_are(model, written):
    import scanpy as sc

    result = sc.read_h5ad(written / "cells.h5ad")
    assert list(result.obs_names) == list(model.cells.index)
    np.testing.assert_array_equal(result.obsm["X_scbasset"], model.cell_embedding)
    np.testing.assert_array_equal(result.obs["depth_intercept"], model.cell_intercept)
    assert result.obsm["X_umap"].shape == (240, 2)
    degree = np.diff(result.obsp["distances"].indptr)
    assert set(degree) == {14}  # scanpy counts the cell itself among 15
    sc.tl.leiden(result, resolution=0.5, flavor="igraph", n_iterations=2, directed=False, key_added="scanpy")
    assert adjusted_rand_score(result.obs["leiden"], result.obs["scanpy"]) == 1


def test_types_that_lie_apart_are_found_with_as_many_clusters_as_labels(written):
    result = ad.read_h5ad(written / "cells.h5ad")
    metrics = result.uns["metrics"]["score"]
    assert result.obs["leiden"].nunique() == result.uns["leiden"]["params"]["n_labels"] == 4
    assert metrics["ARI"] == metrics["AMI"] == metrics["homogeneity"] == 1
    assert metrics["label score at 10"] > 0.99


def test_the_resolution_rises_until_there_are_as_many_clusters_as_labels(model):
    result = sz.run("embedding", model, group_by="pair", umap=False, quiet=True)
    assert result.obs["leiden"].nunique() == 120
    assert result.uns["leiden"]["params"]["resolution"] > 1


def test_rna_is_matched_by_barcode_and_may_lack_cells(model, rna, written):
    table = ad.read_h5ad(written / "cells.h5ad").uns["metrics"]
    assert table["n_cells"].to_dict() == {name: 230 if "neighbour" in name else 240 for name in table.index}
    in_embedding = nearest(model.cell_embedding[model.cells.index.get_indexer(rna.obs_names)], 50)
    in_rna = nearest(rna.obsm["X_pca"], 50)
    expected = np.mean([len(set(a) & set(b)) / 50 for a, b in zip(in_embedding, in_rna, strict=True)])
    assert table["score"]["neighbour score at 50"] == pytest.approx(expected)


def test_figures_and_page_are_made_of_the_file(written):
    assert {path.name for path in (written / "figures").glob("*.png")} == {"umap_labels.png", "umap_clusters.png", "umap_depth.png"}
    figures = Embedding().plot(ad.read_h5ad(written / "cells.h5ad"))
    legend = figures["umap_labels"].axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["type0", "type1", "type2", "type3"]
    assert "neighbour score at 100" in (written / "page.html").read_text()


def test_without_labels_there_is_nothing_to_score_and_without_a_map_nothing_to_draw(model):
    result = sz.run("embedding", model, umap=False, resolution=0.5, quiet=True)
    assert "metrics" not in result.uns
    assert "X_umap" not in result.obsm
    assert Embedding().plot(result) == {}
    assert result.uns["leiden"]["params"]["resolution"] == 0.5
    sizes = result.obs["leiden"].value_counts(sort=False).to_numpy()
    assert (np.diff(sizes) <= 0).all()


def test_columns_of_the_model_are_kept_beside_ours(tmp_path):
    embedding, cells = groups()
    cells = cells.assign(leiden=cells["cell_type"].str.replace("type", "old"), depth_intercept=7.0)
    package = embedded_package(tmp_path / "model", embedding, cells)
    result = sz.run("embedding", package.folder, group_by="leiden", umap=False, device="cpu", quiet=True)
    assert result.uns["embedding"]["group_by"] == "leiden_of_model"
    assert result.obs["leiden_of_model"].astype(str).tolist() == cells["leiden"].tolist()
    assert (result.obs["depth_intercept_of_model"] == 7).all()
    assert adjusted_rand_score(result.obs["leiden"], cells["leiden"]) == 1
    assert not result.obs["leiden"].isin(cells["leiden"]).any()


@pytest.fixture(scope="module")
def gauged(tmp_path_factory):
    """Cells of four types that lie apart in the canonical space; the published one stretches two directions without types.

    In the canonical space the distances are those of `groups`. n_open_peaks is the exponential of the depth.
    """
    embedding, cells = groups()
    stretch = np.diag([1.0, 1, 1, 1, 0.01, 0.01, 1, 1])
    mean = np.full(SIZE, 0.5)
    published = embedding.astype(float) @ np.linalg.inv(stretch)
    folder = tmp_path_factory.mktemp("gauged")
    gauge = Gauge(mean, stretch @ stretch)
    model = sz.open_model(embedded_package(folder / "model", published, cells, gauge=gauge).folder, "cpu")
    cells = cells.assign(n_open_peaks=np.exp(model.depth.astype(float)), depth="a column of the model", depth_of_model=1)
    return sz.open_model(embedded_package(folder / "counted", published, cells, gauge=gauge).folder, "cpu"), embedding


@pytest.fixture(scope="module")
def in_both(gauged):
    """Results in the canonical space, which is the default, and in the published one."""
    return [sz.run("embedding", gauged[0], group_by="cell_type", quiet=True, **options) for options in ({}, {"space": "published"})]


def expected_graph(embedding, umap=False):
    cells = ad.AnnData(obsm={"X": np.asarray(embedding)})
    add_neighbours(cells, "X", 15, 0, umap=umap)
    return cells


def test_a_model_with_a_gauge_has_both_embeddings_and_its_depth(gauged, in_both):
    model, embedding = gauged
    for result in in_both:
        np.testing.assert_array_equal(result.obsm["X_scbasset"], model.cell_embedding)
        np.testing.assert_array_equal(result.obsm["X_scbasset_canonical"], model.canonical_embedding)
        np.testing.assert_array_equal(result.obs["depth"], model.depth)
        np.testing.assert_array_equal(result.obs["depth_intercept"], model.cell_intercept)
        assert (result.obs["depth_of_model_"] == "a column of the model").all()
        assert (result.obs["depth_of_model"] == 1).all()
        assert not result.obs.columns.duplicated().any()
    canonical = in_both[0].obsm["X_scbasset_canonical"]
    np.testing.assert_allclose(distances(canonical), distances(embedding), rtol=1e-3)


def test_neighbours_map_and_clusters_are_those_of_the_space(gauged, in_both):
    model, _ = gauged
    for result, space, embedding in zip(
        in_both, ("canonical", "published"), (model.canonical_embedding, model.cell_embedding), strict=True
    ):
        graph = expected_graph(embedding, umap=True)
        assert result.uns["embedding"]["space"] == space
        assert (result.obsp["distances"] != graph.obsp["distances"]).nnz == 0
        np.testing.assert_array_equal(result.obsm["X_umap"], graph.obsm["X_umap"])
        assert result.uns["metrics"]["score"]["label score at 10"] == pytest.approx(
            (model.cells["cell_type"].to_numpy()[nearest(embedding, 10)] == model.cells["cell_type"].to_numpy()[:, None]).mean()
        )


def test_scores_in_both_spaces_stand_beside_each_other_with_chance(in_both):
    canonical, published = (result.uns["metrics"] for result in in_both)
    assert (canonical["space"] == "canonical").all()
    assert (published["space"] == "published").all()
    for table, other, space in ((canonical, published, "published"), (published, canonical, "canonical")):
        for column in ("score", "chance", "chance_sd", "note"):
            assert table[f"{column}_{space}"].tolist() == other[column].tolist()
    assert (canonical["score"] > canonical["score_published"]).all()
    assert canonical["score"]["ARI"] > 0.99
    assert (canonical["chance"] < canonical["score"]).all()


def test_the_space_that_keeps_groups_together_better_is_named(gauged, in_both, capsys):
    canonical, published = (" ".join(Embedding().describe(result).findings) for result in in_both)
    scores = in_both[1].uns["metrics"].loc["label score at 10"]
    assert "Compare the two maps" not in canonical
    advice = (
        "The canonical space keeps the cells of a group closer together here: label score at 10 is "
        f"{scores['score_canonical']:.3f} there and {scores['score']:.3f} in the space that was used. Compare the two maps: "
    )
    assert advice in published
    sz.run("embedding", gauged[0], group_by="cell_type", space="published", umap=False, quiet=True)
    assert advice in capsys.readouterr().err


def test_the_report_says_which_space_and_how_depth_follows_the_open_peaks(gauged, in_both):
    model, _ = gauged
    canonical, published = (" ".join(Embedding().describe(result).findings) for result in in_both)
    assert "in the canonical space, since the model has a gauge" in canonical
    assert "in the published space, because of space='published'" in published
    label_score = in_both[1].uns["metrics"]["score"]["label score at 50"]
    assert f" In the published space it is {label_score:.1%}." in canonical
    log_n_open = np.log(model.cells["n_open_peaks"])
    r = np.corrcoef(log_n_open, model.cell_intercept)[0, 1]
    assert r < 0.9
    sentence = f"The correlation with the log number of open peaks of a cell is 1.00 for the depth and {r:.2f} for the intercept."
    assert sentence in canonical
    assert sentence in published
    for result in in_both:
        bar = Embedding().plot(result)["umap_depth"].axes[1]
        assert bar.get_ylabel() == "depth (mean logit)"


def test_open_peaks_that_are_no_counts_are_not_compared(in_both):
    result = in_both[0].copy()
    for values in ("many", 7, [np.nan, 0.0] * 120):
        result.obs["n_open_peaks"] = values
        assert "open peaks" not in " ".join(Embedding().describe(result).findings)


def test_a_model_without_a_gauge_is_in_the_published_space_which_a_line_says(model, capsys):
    result = sz.run("embedding", model, group_by="cell_type", quiet=True)
    assert capsys.readouterr().err.count("has no gauge, so its published embedding and intercept are used") == 1
    assert result.uns["embedding"]["space"] == "published"
    assert list(result.obsm) == ["X_scbasset", "X_umap"]
    assert "depth" not in result.obs
    assert list(result.uns["metrics"]) == ["score", "chance", "chance_sd", "n_cells", "note", "space"]
    assert "since the model has no gauge" in " ".join(Embedding().describe(result).findings)
    assert Embedding().plot(result)["umap_depth"].axes[1].get_ylabel() == "intercept (log depth)"
    explicit = sz.run("embedding", model, group_by="cell_type", umap=False, space="published", quiet=True)
    assert "gauge" not in capsys.readouterr().err
    assert (explicit.obsp["distances"] != result.obsp["distances"]).nnz == 0


def test_the_command_takes_a_space_and_refuses_one_that_a_model_does_not_have(package, gauged, tmp_path):
    out = tmp_path / "cells.h5ad"
    common = ["--no-umap", "--device", "cpu", "--out", str(out)]
    ran = CliRunner().invoke(app, ["embedding", str(gauged[0].package.folder), "--space", "published", *common])
    assert ran.exit_code == 0, ran.output
    result = ad.read_h5ad(out)
    assert result.uns["embedding"]["space"] == "published"
    assert (result.obsp["distances"] != expected_graph(gauged[0].cell_embedding).obsp["distances"]).nnz == 0
    out.unlink()
    refused = CliRunner().invoke(app, ["embedding", str(package.folder), "--space", "canonical", *common])
    assert refused.exit_code != 0
    assert not out.exists()
    with pytest.raises(InputError, match="no gauge.*scbasset-zoo add-gauge"):
        sz.run("embedding", package.folder, space="canonical", device="cpu")
    with pytest.raises(InputError, match="space"):
        sz.run("embedding", package.folder, space="canonicle", device="cpu")


def test_the_seed_decides(model):
    once, again = (
        sz.run("embedding", model, umap=False, resolution=3.0, quiet=True, seed=3).obs["leiden"].to_numpy(str) for _ in "ab"
    )
    other = sz.run("embedding", model, umap=False, resolution=3.0, quiet=True, seed=4).obs["leiden"].to_numpy(str)
    assert (once == again).all()
    assert (once != other).any()


@pytest.mark.parametrize(("n_clusters", "expected"), [(3, 3), (7, 8), (5, 4), (1, 1)])
def test_the_resolution_is_searched_for_the_number_of_clusters_or_the_nearest(n_clusters, expected):
    def clusters(resolution):
        n = next((n for n, most in ((1, 0.3), (3, 0.9), (4, 5.0)) if resolution <= most), 8)
        return np.arange(16) % n

    found, resolution = search_resolution(clusters, n_clusters)
    assert found.max() + 1 == expected
    assert (clusters(resolution) == found).all()


def test_a_number_of_clusters_out_of_reach_is_reported(tmp_path, capsys):
    """Cells of which each is as far from every other: Leiden joins all or none."""
    cells = pd.DataFrame({"cell_type": list("aaabbbcc")}, index=[f"cell{i}" for i in range(SIZE)])
    package = embedded_package(tmp_path / "model", np.eye(SIZE), cells)
    result = sz.run("embedding", package.folder, group_by="cell_type", umap=False, n_neighbours=7, device="cpu", quiet=True)
    n = result.obs["leiden"].nunique()
    assert n != 3
    assert f"No resolution of Leiden gives 3 clusters, the number of groups; the nearest is {n}." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"group_by": "tissue"},
            "group_by: the cells of scbasset/toy have no column 'tissue'; they have cell_type, batch, some, same, pair",
        ),
        ({"group_by": "some"}, r"group_by: 1 of 240 cells have no some, such as 'cell7' \(row 8\)"),
        ({"group_by": "same"}, "group_by: all 240 cells have the same 'one'; expected two or more"),
        ({"n_neighbours": 240}, "n_neighbours=240: the model has 240 cells; give a number below that"),
        ({"n_neighbours": 1}, "n_neighbours: .*must be at least 2"),
        ({"resolution": 0}, "resolution: .*more than 0"),
        ({"rna": "missing.h5ad"}, "rna: there is no .h5ad or .zarr missing.h5ad"),
        ({"rna_key": "X_umap"}, "rna has no .obsm 'X_umap'; it has X_pca, X_holes. Choose one with rna_key"),
        ({"rna_key": "X_holes"}, "rna: .obsm 'X_holes' must be cells x dimensions of finite numbers"),
        ({"labels": "cell_type"}, "labels is not an option"),
    ],
)
def test_what_cannot_be_used_is_refused_before_any_work(model, rna, tmp_path, options, message):
    given = ({"rna": rna} if "rna_key" in options else {}) | options
    with pytest.raises(InputError, match=message):
        sz.run("embedding", model, out=tmp_path / "out.h5ad", **given)
    assert not list(tmp_path.iterdir())


def test_the_command_maps_without_loading_tensorflow(written):
    loaded = (written / "loaded.txt").read_text().split()
    assert "umap" in loaded
    assert "tensorflow" not in loaded


@pytest.mark.slow
def test_a_fitted_model_finds_the_simulated_cell_types(tmp_path):
    """Six types along a lineage, with the settings of docs/embedding.md."""
    fit = {"epochs": 60, "learning_rate": 0.003, "precision": "float32"}
    model = fitted(tmp_path, {"n_cells": 600, "n_peaks": 8_000, "density": 0.2}, fit)
    found = sz.run("embedding", model, group_by="cell_type", umap=False, quiet=True).uns["metrics"]
    for column in ("score", "score_published"):
        assert found[column]["ARI"] > 0.8
        assert found[column]["label score at 10"] > 0.9


MILLION = """
import json, resource, sys
import numpy as np, pandas as pd
sys.path.insert(0, sys.argv[1])
from helpers import embedded, scbasset_zoo as sz
folder, n_cells = sys.argv[2], 1_000_000
embedding, cells = embedded.groups(n_cells, n_types=6)
embedded.embedded_package(folder + "/million", embedding, cells.astype("category"))
sz.run("embedding", folder + "/million", group_by="cell_type", resolution=0.1, umap=False, device="cpu", out=folder + "/r.h5ad")
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
"""


@pytest.mark.slow
def test_a_million_cells_take_less_than_8_gib(tmp_path):
    """Neighbours, clusters and scores; some minutes on two cores."""
    tests = str(Path(__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", MILLION, tests, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    used = int(done.stdout.splitlines()[-1])
    print(f"\n{used / 2**30:.2f} GiB at the most")
    assert used < 8 * 2**30
