"""Legends, titles and panels of figures lie beside each other, whatever the number and length of names."""

import itertools

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scbasset_zoo_plugins.batch_correction.analysis import BatchCorrection
from scbasset_zoo_plugins.denoise.analysis import Denoise
from scbasset_zoo_plugins.embedding.analysis import Embedding

MIN_AXES = 2.0  # inches
LONG = "precursor cell in the bone marrow of a donor of the second cohort, lane"
number_and_length = pytest.mark.parametrize(("n_groups", "name"), [(2, "C"), (2, LONG), (24, LONG), (30, LONG), (30, "C")])


def cells(n_groups, name):
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(n_groups), 4)
    names = np.array([f"{name} {i}" for i in range(n_groups)])
    obs = pd.DataFrame({"type": names[codes], "leiden": pd.Categorical(codes.astype(str)), "depth_intercept": 1.0})
    points = rng.normal(size=(len(codes), 2)) + rng.normal(scale=9, size=(n_groups, 2))[codes]
    return ad.AnnData(obs=obs.set_index(obs.index.map(str)), obsm={"X_umap": points})


def boxes(figure):
    """Return the boxes of the axes and legends of a figure, with their texts, in pixels; and the box of the figure."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    legends = [ax.get_legend() for ax in figure.axes if ax.get_legend()] + figure.legends
    for legend in legends:
        legend.set_in_layout(False)
    axes = [ax.get_tightbbox(renderer) for ax in figure.axes if ax.axison]
    return axes + [legend.get_window_extent(renderer) for legend in legends], figure.bbox


def require_apart(figure):
    found, whole = boxes(figure)
    for box in found:
        assert box.x0 >= whole.x0 - 2
        assert box.y0 >= whole.y0 - 2
        assert box.x1 <= whole.x1 + 2
        assert box.y1 <= whole.y1 + 2
    for one, other in itertools.combinations(found, 2):
        width, height = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
        assert width <= 2 or height <= 2, "two parts of the figure collide"
    panels = [ax.get_window_extent() for ax in figure.axes if ax.axison and not ax.get_label().startswith("<colorbar")]
    assert max(panel.width for panel in panels) > MIN_AXES * figure.dpi
    assert max(panel.height for panel in panels) > MIN_AXES * figure.dpi


@number_and_length
def test_a_map_keeps_its_size_beside_its_legend(n_groups, name):
    result = cells(n_groups, name)
    result.uns["embedding"] = {"group_by": "type"}
    for figure in Embedding().plot(result).values():
        require_apart(figure)


@number_and_length
def test_a_heat_map_keeps_its_size_beside_its_legend(n_groups, name):
    result = cells(n_groups, name)
    values = np.random.default_rng(0).normal(size=(result.n_obs, 9))
    result.uns["heat_map"] = {"denoised": values, "counts": (values > 1).astype(int), "labels": result.obs["type"].to_numpy()}
    result.uns["denoise"] = {"group_by": "type"}
    require_apart(Denoise().plot(result)["heat_map"])


@pytest.mark.parametrize(("n_groups", "name", "n_methods"), [(2, "C", 1), (30, LONG, 6)])
def test_panels_of_corrections_do_not_collide(n_groups, name, n_methods):
    result = cells(n_groups, name)
    result.obs["batch"] = pd.Categorical([f"batch {i % 3} of {name}" for i in range(result.n_obs)])
    methods = [f"an integration method of many words on scBasset {i}" for i in range(n_methods)]
    scores = np.linspace(0, 1, n_methods)
    result.uns["comparison"] = pd.DataFrame(
        {
            "obsm": [f"X_{i}" for i in range(n_methods)],
            "kind": "scBasset-BC",
            "l2_cell": scores,
            "label score at 50": scores,
            "iLISI, rescaled": scores,
            "kBET acceptance": scores,
        },
        index=pd.Index(methods, name="method"),
    )
    for i in range(n_methods):
        result.obsm[f"X_umap_{i}"] = result.obsm["X_umap"]
    result.uns["batch_correction"] = {"group_by": "type", "batch_key": "batch"}
    figures = BatchCorrection().plot(result)
    assert all(len(ax.lines) == n_methods + 1 for ax in figures["trade_off"].axes)
    require_apart(figures["umaps"])
    require_apart(figures["trade_off"])
    result.uns["chance"] = pd.DataFrame({"chance": [0.9, 0.1, 0.4]}, index=["iLISI, rescaled", "label score at 50", "other"])
    left, right = BatchCorrection().plot(result)["trade_off"].axes
    dotted = [[line.get_xydata()[0].tolist() for line in ax.lines if line.get_linestyle() == ":"] for ax in (left, right)]
    assert dotted == [[[0.9, 0], [0, 0.1]], [[0, 0.1]]]
    assert left.get_xlim()[0] < 0.9 < left.get_xlim()[1]
