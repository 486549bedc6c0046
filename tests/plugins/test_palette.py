"""A label has the same colour in every figure, whichever cells the figure shows."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scbasset_zoo_plugins.batch_correction.analysis import BatchCorrection
from scbasset_zoo_plugins.denoise.analysis import Denoise
from scbasset_zoo_plugins.embedding.analysis import Embedding
from scbasset_zoo_plugins.palette import COLOURS, MARKERS, centred_limits, label_column, ordered_values, styles


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


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (["10", "9", "2", "9"], ["2", "9", "10"]),
        ([1.5, 10.5, 0.5], ["0.5", "1.5", "10.5"]),
        (pd.Series(["b", "10", "a", "9"], dtype="category"), ["9", "10", "a", "b"]),
        (["C10", "C9", "c2"], ["c2", "C9", "C10"]),
        (["2", "inf", "10"], ["2", "10", "inf"]),
        (pd.Series(["10", None, "9"]), ["9", "10", "None"]),
        (pd.Series(pd.Categorical(["10", "9", "2"])), ["2", "9", "10"]),
        (pd.Series(pd.Categorical(["b", "c", "b"], categories=["c", "unused", "b", "a"])), ["c", "b"]),
        (pd.Series([True, False]), ["False", "True"]),
    ],
)
def test_values_have_the_order_of_their_categories_or_are_sorted_and_numbers_by_size(values, order):
    assert ordered_values(values) == order
    assert list(styles(values)) == order


def test_a_column_has_the_same_order_after_it_was_written(tmp_path):
    texts = [f"C{i}" for i in (10, 2, 1)]
    cells = ad.AnnData(
        obs=pd.DataFrame({"text": texts, "own": pd.Categorical(texts, ["C2", "C10", "C1"]), "number": [10, 9, 1]}, list("abc"))
    )
    cells.write_h5ad(tmp_path / "cells.h5ad")
    read = ad.read_h5ad(tmp_path / "cells.h5ad").obs
    assert {name: ordered_values(read[name]) for name in read} == {name: ordered_values(cells.obs[name]) for name in read}


def test_a_column_is_categories_of_text_by_its_own_name_or_that_of_the_file():
    obs = pd.DataFrame({"donor_id": [10, 9, 10]})
    for name in ("donor/id", "donor_id"):
        column = label_column(obs, name)
        assert column.tolist() == ["10", "9", "10"]
        assert list(column.cat.categories) == ordered_values(column) == ["9", "10"]


def test_30_values_have_30_colours_and_more_have_other_markers():
    style_of_value = styles(map(str, range(len(COLOURS) + 1)))
    assert len({style.colour for style in list(style_of_value.values())[:30]}) == 30
    assert style_of_value["1"] == (COLOURS[1], MARKERS[0])
    assert style_of_value[str(len(COLOURS))] == (COLOURS[0], MARKERS[1])


@pytest.mark.parametrize(
    ("values", "limit"), [([-3, 1, np.nan], 3), ([0, 0], 1), ([], 1), ([np.nan], 1), ([0] * 999 + [5], 5), ([np.inf, -2], 2)]
)
def test_limits_of_diverging_colours_are_as_far_below_as_above_0(values, limit):
    low, high = centred_limits(values)
    assert -low == high == pytest.approx(limit, rel=0.05)


def test_a_column_has_the_same_colours_in_all_figures(cells):
    expected = {label: style.colour for label, style in styles(cells["cluster"]).items()}
    points = np.random.default_rng(1).normal(size=(40, 2))
    depth = {"leiden": pd.Categorical(["0"] * 40), "depth_intercept": 1.0}
    embedded = ad.AnnData(obs=cells.assign(**depth))
    embedded.obsm["X_umap"], embedded.uns["embedding"] = points, {"group_by": "cluster"}
    (ax,) = Embedding().plot(embedded)["umap_labels"].axes
    assert legend_colours(ax.get_legend()) == expected
    drawn = {to_hex(colour).upper() for dots in ax.collections for colour in dots.get_facecolors()}
    assert drawn == set(expected.values())
    assert len(drawn) == 10

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
