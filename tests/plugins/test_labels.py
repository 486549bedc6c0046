"""Names of any text are shown in figures as they are, on one line and not too long."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from helpers import toy
from matplotlib.text import Text
from scbasset_zoo_plugins.embedding.analysis import Embedding
from scbasset_zoo_plugins.labels import MAX_LETTERS, distinct_labels, label_text, wrapped_label

import scbasset_zoo as sz
from scbasset_zoo.running.libraries import default_style

NAMES = ("NK/T", "x" * 3_000, "two\nlines", "$x_$", r"$\frac$", "_", "%", "\u1234", "", "tf")
LONG = f"{'x' * 38}…x\n{'x' * 36}"  # a legend has two lines
SHOWN = {"NK/T", LONG, "two lines", "$x_$", r"$\frac$", "_", "%", "\u1234", '""', "tf"}
MOTIFS = "MEME version 4\n\nALPHABET= ACGT\n" + "".join(
    f"\nMOTIF {name} {factor}\nletter-probability matrix: alength= 4 w= 3\n{rows}"
    for name, factor, rows in (("_M/1", "_$x_$", "1 0 0 0\n0 1 0 0\n0 0 1 0\n"), ("M2", "BAR", "0 0 0 1\n1 0 0 0\n0 0 0 1\n"))
)


@pytest.mark.parametrize(
    ("name", "text"), [("B cell", "B cell"), ("a\r\n b", "a b"), ("  ", '""'), (5, "5"), ("é" * 41, "é" * 20 + "…" + "é" * 19)]
)
def test_a_label_is_a_line_of_at_most_40_letters(name, text):
    assert label_text(name) == text
    assert len(text) <= MAX_LETTERS


def test_names_that_differ_only_in_what_is_left_out_are_numbered():
    names = [f"{'begin ' * 20}{number}{' end' * 20}" for number in "abc"]
    labels = distinct_labels([*names, "B cell", names[0]], 40)
    assert list(labels) == [*names, "B cell"]
    assert len(set(labels.values())) == 4
    assert labels[names[2]] == f"{labels[names[0]]} (3)"


@pytest.mark.parametrize("name", ["a name of several words for a title above a panel", "x" * 3_000, "", "B cell"])
def test_a_wrapped_label_has_all_letters_of_the_label_on_short_lines(name):
    lines = wrapped_label(name, 15).split("\n")
    assert max(map(len, lines)) <= 15
    assert "".join(lines).replace(" ", "") == label_text(name).replace(" ", "")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    number = np.arange(40)
    cells = pd.DataFrame(
        {"cell_type": np.array(NAMES)[number % len(NAMES)], "donor/$_$": np.where(number % 2, "$_$", "b")},
        index=[f"cell-{i}" for i in number],
    )
    return sz.open_model(toy.toy_package(tmp_path_factory.mktemp("labels") / "toy", n_cells=40, cells=cells).folder, "cpu")


@pytest.fixture(scope="module")
def inputs(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "motifs.meme").write_text(MOTIFS)
    genome = toy.toy_genome(folder / "toy.fa")
    umap = ad.AnnData(obs=model.cells[[]], obsm={"X_umap": np.random.default_rng(0).random((model.n_cells, 2))})
    motifs = {"motifs": str(folder / "motifs.meme"), "n_backgrounds": 2, "umap": umap, "contrast": "donor/$_$:b:$_$"}
    return {
        "denoise": {"genome": genome, "peaks": toy.toy_peaks(6)[["chrom", "start", "end"]]},
        "motif-insertion": {"genome": genome, **motifs},
    }


def test_groups_of_any_name_are_saved_as_they_are(model, tmp_path):
    obs = model.cells.assign(leiden="0", depth_intercept=model.cell_intercept)
    points = np.random.default_rng(0).random((model.n_cells, 2))
    result = ad.AnnData(obs=obs, obsm={"X_umap": points}, uns={"embedding": {"group_by": "cell_type"}})
    with default_style():
        figure = Embedding().plot(result)["umap_labels"]
        figure.savefig(tmp_path / "map.png")
        texts = {text.get_text() for text in figure.findobj(Text)}
    assert texts >= SHOWN
    width, height = plt.imread(tmp_path / "map.png").shape[:2]
    assert max(width, height) < 3_000


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@pytest.mark.parametrize("analysis", ["denoise", "motif-insertion"])
def test_a_column_that_has_another_name_in_the_file_is_drawn(analysis, suffix, model, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr("scbasset_zoo_plugins.motif_insertion.analysis.MAX_RAW_VALUES", 1)
    column, out = "donor/$_$", tmp_path / f"result{suffix}"
    result = sz.run(analysis, model, group_by=column, out=out, report=tmp_path / "r.html", quiet=True, **inputs[analysis])
    assert result.obs[column].astype(str).tolist() == model.cells[column].tolist()
    if analysis == "denoise":
        assert "heat_map" in sz.plot(out)
    assert "donor_$_$" in (ad.read_h5ad if suffix == ".h5ad" else ad.read_zarr)(out).obs


def test_a_group_called_tf_has_its_means_beside_the_factors(model, inputs):
    result = sz.run("motif-insertion", model, group_by="cell_type", quiet=True, **inputs["motif-insertion"])
    means = result.uns["group_means"].loc[result.var_names]
    assert means["tf"].tolist() == result.var["tf"].tolist()
    in_group = (model.cells["cell_type"] == "tf").to_numpy()
    np.testing.assert_allclose(means["group_tf"], result.X[in_group].mean(axis=0), atol=1e-5)
