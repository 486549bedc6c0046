"""What the report of `embedding` says about a result."""

from __future__ import annotations

from collections.abc import Iterator

import anndata as ad
import numpy as np
import pandas as pd

from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.description import Description
from scbasset_zoo_plugins.sentences import CHANCE, CHANCE_SD, beside_chance, score_of

CELLS_PER_DIMENSION = 10
NOTABLE = 0.5
NEIGHBOURS = (50, 10)


def describe(result: ad.AnnData) -> Description:
    """Return findings, captions and help for a result."""
    group_by = str(result.uns["embedding"]["group_by"])
    groups = group_by or "their groups"
    return Description(
        findings=list(_findings(result, group_by)),
        captions={
            "umap_labels": f"Each point is one of {result.n_obs:,} cells, coloured by {groups}. Cells that are near each other "
            "have similar embeddings.",
            "umap_clusters": "The same map, coloured by Leiden cluster. Cluster 0 is the largest.",
            "umap_depth": "The same map, coloured by the intercept, which follows the log depth of a cell. Parts of the map that "
            "differ in this colour differ in depth.",
            "metrics": f"How well the embedding agrees with {groups} or with RNA. Each score is a mean over n_cells cells.",
        },
        how_to_read=[
            "A UMAP keeps neighbours, not distances: how far apart two groups lie, and how large they look, means little.",
            "ARI, AMI and homogeneity compare the clusters with the groups: 1 if they are the same, near 0 if they are unrelated. "
            "Cell-type ASW is 1 if groups lie far apart, and 0.5 if they overlap.",
            "The label score at k is the share of a cell's k nearest neighbours that are in its group. The neighbour score at k "
            "is the share that are also among its k nearest in RNA.",
            "A group may be found because its cells differ in depth. Compare the map coloured by depth.",
        ],
        next_steps=list(_next_steps(group_by)),
        key_columns={"metrics": ["score", CHANCE, CHANCE_SD, "n_cells", "note"]},
    )


def _findings(result: ad.AnnData, group_by: str) -> Iterator[str]:
    sizes = result.obs["leiden"].value_counts()
    resolution = float(result.uns["leiden"]["params"]["resolution"])
    yield (
        f"The {result.n_obs:,} cells form {len(sizes):,} Leiden clusters at a resolution of {resolution:.3g}. The largest has "
        f"{sizes.iloc[0]:,} cells."
    )
    if "metrics" in result.uns:
        yield from _scores(result.uns["metrics"], group_by)
    if not group_by:
        yield f"The clusters were not compared with groups, because {option('group_by')} was not given."
    explained = _explained_depth(result)
    if explained is not None:
        consequence = ", so cells that are near each other may just have the same depth" if explained > NOTABLE else ""
        yield f"The embedding explains {explained:.0%} of the variance of the intercept, which is the log depth{consequence}."


def _scores(table: pd.DataFrame, group_by: str) -> Iterator[str]:
    if (ari := score_of(table, "ARI", "score")) is not None:
        yield f"The clusters agree with {group_by} with an adjusted Rand index of {ari:.3f}{beside_chance(table, 'ARI', 'score')}."
    for start, end in (("label", f"have its {group_by}"), ("neighbour", "are among its nearest in RNA")):
        metrics = [(k, f"{start} score at {k}") for k in NEIGHBOURS]
        for k, metric in metrics:
            if (score := score_of(table, metric, "score")) is not None:
                yield f"Of the {k} nearest neighbours of a cell, {score:.1%} {end}{beside_chance(table, metric, 'score')}."
                break


def _explained_depth(result: ad.AnnData) -> float | None:
    """Return the adjusted R² of a linear function of the embedding that predicts the intercept; None with too few cells."""
    embedding = np.asarray(result.obsm["X_scbasset"], dtype=float) if "X_scbasset" in result.obsm else np.empty((0, 1))
    depth = result.obs["depth_intercept"].to_numpy(float)
    n_cells, n_dimensions = embedding.shape
    if n_cells < CELLS_PER_DIMENSION * n_dimensions or not depth.var() > 0:
        return None
    design = np.column_stack([embedding, np.ones(n_cells)])
    residual = depth - design @ np.linalg.lstsq(design, depth, rcond=None)[0]
    unexplained = residual.var() / depth.var() * (n_cells - 1) / (n_cells - n_dimensions - 1)
    return float(max(0.0, 1 - unexplained))


def _next_steps(group_by: str) -> Iterator[str]:
    if not group_by:
        yield f"Give the column of the cell types as {option('group_by')}, to score the embedding against them."
    yield (
        f"Colour this map by transcription factors: run motif-insertion, and give the result of this run as {option('umap')}. "
        "The analyses ism and denoise show which bases and peaks tell the groups apart."
    )
    yield "Open the result with scanpy: the neighbours, clusters and UMAP are where scanpy keeps its own."
