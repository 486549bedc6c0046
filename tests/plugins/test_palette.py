"""A label has the same colour in every figure, whichever cells the figure shows."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scbasset_zoo_plugins.batch_correction.analysis import BatchCorrection
from scbasset_zoo_plugins.denoise.analysis import Denoise
from scbasset_zoo_plugins.embedding.analysis import Embedding
from scbasset_zoo_plugins.palette import COLOURS, MARKERS, styles


@pytest.fixture
def cells():
    """Cells of ten clusters whose names are numbers, in no order."""
    names = np.random.default_rng(0).permutation(np.repeat([str(i) for i in range(2, 12)], 4))
    return pd.DataFrame({"cluster": names}, index=[f"cell{i}" for i in range(len(names))])


def legend_colours(legend):
    colour = lambda handle: handle.get_color() if hasattr(handle, "get_color") else handle.get_facecolor()  # noqa: E731
    return {
        text.get_text(): to_hex(colour(handle)).upper()
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }


def test_styles_follow_the_sorted_values_and_numbers_are_sorted_by_size():
    assert list(styles(["10", "9", "2", "9"])) == ["2", "9", "10"]
    assert list(styles([1.5, 10.5, 0.5])) == ["0.5", "1.5", "10.5"]
    assert list(styles(pd.Series(["b", "10", "a", "9"], dtype="category"))) == ["10", "9", "a", "b"]
    assert list(styles(["2", "nan", "10"])) == ["10", "2", "nan"]
    assert styles(["a", "b"])["b"] == (COLOURS[1], MARKERS[0])
    assert styles(map(str, range(9)))["8"] == (COLOURS[0], MARKERS[1])


def test_a_column_has_the_same_colours_in_all_figures(cells):
    expected = {label: style.colour for label, style in styles(cells["cluster"]).items()}
    points = np.random.default_rng(1).normal(size=(40, 2))
    depth = {"leiden": pd.Categorical(["0"] * 40), "depth_intercept": 1.0}
    embedded = ad.AnnData(obs=cells.assign(**depth))
    embedded.obsm["X_umap"], embedded.uns["embedding"] = points, {"group_by": "cluster"}
    (ax,) = Embedding().plot(embedded)["umap_labels"].axes
    assert legend_colours(ax.get_legend()) == expected
    drawn = {to_hex(colour).upper() for dots in ax.collections for colour in dots.get_facecolors()}
    assert drawn == set(COLOURS)

    compared = ad.AnnData(obs=cells, obsm={"X_umap_lsi": points})
    compared.uns["comparison"] = pd.DataFrame({"obsm": ["X_lsi"], "kind": ["uncorrected"]}, index=["LSI"])
    compared.uns["batch_correction"] = {"group_by": "", "batch_key": "cluster"}
    (ax,) = BatchCorrection().plot(compared)["umaps"].axes
    assert legend_colours(ax.get_legend()) == expected

    shown = np.flatnonzero(cells["cluster"].isin(["3", "10", "11"]))
    denoised = ad.AnnData(obs=cells)
    labels = cells["cluster"].to_numpy()[shown]
    denoised.uns["heat_map"] = {"denoised": np.random.default_rng(2).normal(size=(len(shown), 5)), "labels": labels}
    denoised.uns["denoise"] = {"group_by": "cluster"}
    figure = Denoise().plot(denoised)["heat_map"]
    assert legend_colours(figure.legends[0]) == {label: expected[label] for label in ("3", "10", "11")}
    strip = figure.axes[0].images[0].get_array()[:, 0]
    assert [to_hex(colour).upper() for colour in strip] == [expected[label] for label in labels]
