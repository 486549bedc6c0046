"""What the report of `embedding` says about a result."""

from __future__ import annotations

from collections.abc import Iterator

import anndata as ad
import numpy as np
import pandas as pd

from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.description import Description
from scbasset_zoo.extend.space import Space
from scbasset_zoo_plugins.sentences import CHANCE, CHANCE_SD, beside_chance, score_of
from scbasset_zoo_plugins.spaces import KEYS, recorded_space

CELLS_PER_DIMENSION = 10
MIN_CELLS = 3
N_OPEN_PEAKS = "n_open_peaks"
NOTABLE = 0.5
NOTABLE_DIFFERENCE = 0.03
NEIGHBOURS = (50, 10)
_SCORES = ("score", CHANCE, CHANCE_SD)


def describe(result: ad.AnnData) -> Description:
    """Return findings, captions and help for a result."""
    group_by = str(result.uns["embedding"]["group_by"])
    groups = group_by or "their groups"
    space = recorded_space(result.uns["embedding"])
    other = _other_space(result)
    return Description(
        findings=list(_findings(result, group_by)),
        captions={
            "umap_labels": f"Each point is one of {result.n_obs:,} cells, coloured by {groups}. Cells that are near each other "
            "have similar embeddings.",
            "umap_clusters": "The same map, coloured by Leiden cluster. Cluster 0 is the largest.",
            "umap_depth": f"The same map, coloured by {_depth_in_words(result)}. Parts of the map that differ in "
            "this colour differ in depth.",
            "metrics": f"How well the {space} embedding agrees with {groups} or with RNA. Each score is a mean over n_cells cells."
            + (f" Beside it, the same for the {other} embedding." if other else ""),
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
        key_columns={"metrics": ["space", *_SCORES, *(f"{column}_{other}" for column in _SCORES), "n_cells", "note"]},
    )


def _findings(result: ad.AnnData, group_by: str) -> Iterator[str]:
    sizes = result.obs["leiden"].value_counts()
    resolution = float(result.uns["leiden"]["params"]["resolution"])
    yield (
        f"The {result.n_obs:,} cells form {len(sizes):,} Leiden clusters at a resolution of {resolution:.3g}. The largest has "
        f"{sizes.iloc[0]:,} cells."
    )
    yield _why_this_space(result)
    if "metrics" in result.uns:
        yield from _scores(result.uns["metrics"], group_by, _other_space(result))
        if advice := advice_on_space(result):
            yield advice
    if not group_by:
        yield f"The clusters were not compared with groups, because {option('group_by')} was not given."
    explained = _explained_depth(result)
    if explained is not None:
        consequence = ", so cells that are near each other may just have the same depth" if explained > NOTABLE else ""
        yield f"The embedding explains {explained:.0%} of the variance of {_depth_in_words(result)}{consequence}."
    yield from _correlations_with_depth(result)


def _why_this_space(result: ad.AnnData) -> str:
    if recorded_space(result.uns["embedding"]) == "canonical":
        return (
            "Cells are compared in the canonical space, since the model has a gauge: the distance of two cells is the root mean "
            "square difference of their logits over the training peaks, without depth."
        )
    if _has_gauge(result):
        return f"Cells are compared in the published space, because of {option('space', 'published')}. Its distances have no units."
    return "Cells are compared in the published space, since the model has no gauge. Its distances have no units."


def _scores(table: pd.DataFrame, group_by: str, other: Space | None) -> Iterator[str]:
    def in_other_space(metric: str, form: str) -> str:
        score = score_of(table, metric, f"score_{other}")
        return "" if score is None else f" In the {other} space it is {score:{form}}."

    if (ari := score_of(table, "ARI", "score")) is not None:
        chance = beside_chance(table, "ARI", "score")
        yield f"The clusters agree with {group_by} with an adjusted Rand index of {ari:.3f}{chance}.{in_other_space('ARI', '.3f')}"
    for start, end in (("label", f"have its {group_by}"), ("neighbour", "are among its nearest in RNA")):
        metrics = [(k, f"{start} score at {k}") for k in NEIGHBOURS]
        for k, metric in metrics:
            if (score := score_of(table, metric, "score")) is not None:
                chance = beside_chance(table, metric, "score")
                yield f"Of the {k} nearest neighbours of a cell, {score:.1%} {end}{chance}.{in_other_space(metric, '.1%')}"
                break


def advice_on_space(result: ad.AnnData) -> str:
    """Return a sentence if groups are notably better separated in the other space than in the one that was used, else ""."""
    other = _other_space(result)
    if other is None or "metrics" not in result.uns:
        return ""
    for metric in (f"label score at {k}" for k in sorted(NEIGHBOURS)):
        here, there = (score_of(result.uns["metrics"], metric, column) for column in ("score", f"score_{other}"))
        if here is not None and there is not None and there - here > NOTABLE_DIFFERENCE:
            return (
                f"The {other} space keeps the cells of a group closer together here: {metric} is {there:.3f} there and {here:.3f} "
                f"in the space that was used. Compare the two maps: {option('space', other)}."
            )
    return ""


def _has_gauge(result: ad.AnnData) -> bool:
    return KEYS["canonical"] in result.obsm


def _other_space(result: ad.AnnData) -> Space | None:
    """Return the space in which the cells have an embedding beside the one in which they were compared."""
    if not _has_gauge(result):
        return None
    return "published" if recorded_space(result.uns["embedding"]) == "canonical" else "canonical"


def _depth_in_words(result: ad.AnnData) -> str:
    if _has_gauge(result):
        return "the depth, which is the mean logit of a cell over the training peaks"
    return "the intercept, which follows the log depth of a cell"


def _explained_depth(result: ad.AnnData) -> float | None:
    """Return the adjusted R² of a linear function of the embedding that predicts depth; None with too few cells."""
    key = KEYS[recorded_space(result.uns["embedding"])]
    embedding = np.asarray(result.obsm[key], dtype=float) if key in result.obsm else np.empty((0, 1))
    depth = result.obs["depth" if _has_gauge(result) else "depth_intercept"].to_numpy(float)
    n_cells, n_dimensions = embedding.shape
    if n_cells < CELLS_PER_DIMENSION * n_dimensions or not depth.var() > 0:
        return None
    design = np.column_stack([embedding, np.ones(n_cells)])
    residual = depth - design @ np.linalg.lstsq(design, depth, rcond=None)[0]
    unexplained = residual.var() / depth.var() * (n_cells - 1) / (n_cells - n_dimensions - 1)
    return float(max(0.0, 1 - unexplained))


def _correlations_with_depth(result: ad.AnnData) -> Iterator[str]:
    """Compare depth and intercept with the log number of open peaks, if the cells have this number and it varies."""
    if N_OPEN_PEAKS not in result.obs or not pd.api.types.is_numeric_dtype(result.obs[N_OPEN_PEAKS]):
        return
    n_open = result.obs[N_OPEN_PEAKS].to_numpy(float)
    is_counted = np.isfinite(n_open) & (n_open > 0)
    log_n_open = np.log(n_open[is_counted])
    columns = {"depth": "depth"} if _has_gauge(result) else {}
    columns["intercept"] = "depth_intercept"
    values = {name: result.obs[column].to_numpy(float)[is_counted] for name, column in columns.items()}
    if len(log_n_open) < MIN_CELLS or not all(np.ptp(of_cells) > 0 for of_cells in (log_n_open, *values.values())):
        return
    r = [f"{np.corrcoef(log_n_open, of_cells)[0, 1]:.2f} for the {name}" for name, of_cells in values.items()]
    yield f"The correlation with the log number of open peaks of a cell is {' and '.join(r)}."


def _next_steps(group_by: str) -> Iterator[str]:
    if not group_by:
        yield f"Give the column of the cell types as {option('group_by')}, to score the embedding against them."
    yield (
        f"Colour this map by transcription factors: run motif-insertion, and give the result of this run as {option('umap_from')}. "
        "The analyses ism and denoise show which bases and peaks tell the groups apart."
    )
    yield "Open the result with scanpy: the neighbours, clusters and UMAP are where scanpy keeps its own."
