"""Figures of `embedding`: the UMAP, coloured by group, by cluster and by depth."""

from __future__ import annotations

from collections.abc import Mapping

import anndata as ad
import numpy as np
from matplotlib.figure import Figure

from scbasset_zoo_plugins.maps import draw_cells
from scbasset_zoo_plugins.palette import label_column
from scbasset_zoo_plugins.spaces import KEYS


def figures(result: ad.AnnData) -> Mapping[str, Figure]:
    """Return the maps of a result by name; none if it has no UMAP."""
    if "X_umap" not in result.obsm:
        return {}
    has_depth = KEYS["canonical"] in result.obsm
    coloured_by = {
        "umap_clusters": (label_column(result.obs, "leiden"), "Leiden cluster"),
        "umap_depth": (result.obs["depth"], "depth (mean logit)")
        if has_depth
        else (result.obs["depth_intercept"], "intercept (log depth)"),
    }
    group_by = result.uns["embedding"]["group_by"]
    if group_by:
        coloured_by = {"umap_labels": (label_column(result.obs, group_by), group_by)} | coloured_by
    points = np.asarray(result.obsm["X_umap"])
    maps = {}
    for name, (values, title) in coloured_by.items():
        maps[name] = Figure(figsize=(5, 4.6), layout="constrained")
        draw_cells(maps[name], maps[name].subplots(), points, values, title)
    return maps
