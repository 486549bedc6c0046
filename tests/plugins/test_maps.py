"""Maps of cells: what is a label gets a legend, what is a measurement a colour bar."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scbasset_zoo_plugins.embedding.analysis import Embedding
from scbasset_zoo_plugins.maps import draw_cells


@pytest.mark.parametrize(
    ("labels", "written"),
    [([10, 9, 10, 2], ["2", "9", "10"]), ([True, False, True, True], ["False", "True"]), ([0.5, 1.5, 0.5, 0.5], ["0.5", "1.5"])],
)
def test_labels_that_are_numbers_or_booleans_get_a_legend_and_no_colour_bar(labels, written):
    obs = pd.DataFrame(
        {"kind": labels, "leiden": pd.Categorical(list("0110")), "depth_intercept": [0.1, 0.2, 0.3, 0.4]}, list("abcd")
    )
    result = ad.AnnData(obs=obs, obsm={"X_umap": np.arange(8.0).reshape(4, 2)}, uns={"embedding": {"group_by": "kind"}})
    figures = Embedding().plot(result)
    (ax,) = figures["umap_labels"].axes
    assert [text.get_text() for text in ax.get_legend().get_texts()] == written
    assert len(figures["umap_depth"].axes) == 2


def map_of(values, points=None, **options):
    figure = Figure(figsize=(5, 4.6), layout="constrained")
    points = np.random.default_rng(0).normal(size=(len(values), 2)) if points is None else points
    draw_cells(figure, figure.subplots(), points, pd.Series(values), "title", **options)
    return figure


def test_z_scores_are_white_at_0_and_other_numbers_end_at_their_percentiles():
    numbers = np.append(np.linspace(-1, 3, 101), [np.nan, 50.0])
    (dots,) = map_of(numbers, diverging=True).axes[0].collections
    assert -dots.norm.vmin == dots.norm.vmax > 2.9
    np.testing.assert_allclose(dots.cmap(dots.norm(0.0))[:3], 1, atol=0.05)
    (dots,) = map_of(numbers).axes[0].collections
    np.testing.assert_allclose([dots.norm.vmin, dots.norm.vmax], np.nanquantile(numbers, [0.01, 0.99]))


def test_with_more_than_10_labels_each_has_a_key_on_the_map_and_in_the_legend():
    names = [f"a type of cells {i}" for i in range(1, 13)]
    centres = np.repeat(np.arange(12), 20)[:, None] * [10, 0]
    (ax,) = map_of(np.repeat(names, 20), centres + np.random.default_rng(0).normal(size=(240, 2))).axes
    place_of_key = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert list(place_of_key) == [str(i) for i in range(1, 13)]
    np.testing.assert_allclose(list(place_of_key.values()), np.arange(12) * 10, atol=1)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"{i}  {name}" for i, name in enumerate(names, 1)]


def test_short_labels_are_their_own_keys_and_labels_that_mix_have_none():
    names = np.repeat([f"C{i}" for i in range(12)], 20)
    (ax,) = map_of(names, np.repeat(np.arange(24.0).reshape(12, 2), 20, axis=0)).axes
    assert [text.get_text() for text in ax.texts] == [f"C{i}" for i in range(12)]
    assert "C3" in [text.get_text() for text in ax.get_legend().get_texts()]
    (ax,) = map_of(names, np.tile(np.random.default_rng(0).normal(size=(20, 2)), (12, 1))).axes
    assert not ax.texts


@pytest.mark.parametrize("values", [["a"], [1.0], [np.nan, np.nan], ["a"] * 50])
def test_one_cell_or_no_value_is_drawn(values):
    map_of(values).savefig("/dev/null", format="png")
