"""The analysis `embedding`: its result, figures and errors, from Python and from the command line."""

import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from helpers.embedded import SIZE, embedded_package, fitted, groups, nearest
from scbasset_zoo_plugins.embedding.analysis import Embedding
from scbasset_zoo_plugins.embedding.leiden import search_resolution
from sklearn.metrics import adjusted_rand_score

import scbasset_zoo as sz
from scbasset_zoo import InputError


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
        ({"n_neighbours": 1}, "n_neighbours: .*greater than or equal to 2"),
        ({"resolution": 0}, "resolution: .*greater than 0"),
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
    """Six types along a lineage, with settings that two cores fit in minutes (docs/embedding.md)."""
    model = fitted(tmp_path, {}, {})
    found = sz.run("embedding", model, group_by="cell_type", umap=False, quiet=True).uns["metrics"]["score"]
    assert found["ARI"] > 0.8
    assert found["label score at 10"] > 0.9


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
