"""What the report of `denoise` says about a result."""

from __future__ import annotations

from collections.abc import Iterator

import anndata as ad
import pandas as pd

from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.description import Description
from scbasset_zoo_plugins.denoise.comparison import RNA_OVER_CELLS, RNA_OVER_GENES
from scbasset_zoo_plugins.denoise.depth import CHANGE, CORRELATION
from scbasset_zoo_plugins.sentences import CHANCE_SD, beside_chance, change, score_of, warnings_in

CHANCE_COUNTS, CHANCE_DENOISED = "chance_counts", "chance_denoised"
SILHOUETTE = "silhouette width of labels"
LABEL_SCORES = ("label score at 50", "label score at 10")
LEFT_OUT = {
    "canonical": "the mean logit of the cell over the training peaks (canonical depth)",
    "published": "the intercept of the cell (published depth)",
}
RANK_DISTANCE = "RNA/ATAC rank distance, mean over cells"


def describe(result: ad.AnnData) -> Description:
    """Return findings, captions and help for a result."""
    group_by = str(result.uns["denoise"]["group_by"])
    n_cells, n_peaks = result.uns["heat_map"]["denoised"].shape
    coloured = f" The strip at the left shows their {group_by}." if group_by else ""
    return Description(
        findings=list(_findings(result)),
        captions={
            "heat_map": f"Each row is one of {n_cells:,} cells, each column one of the {n_peaks:,} peaks that vary most between "
            f"cells. Both are ordered by clustering of the denoised values.{coloured} Red: more open than the peak's mean; blue: "
            "less.",
            "correlation_with_RNA": "Correlation of gene scores with expression: for each cell over genes (left), and for each "
            "gene over cells (right). A box spans the middle half, the line is the median. Dashed: the mean by chance, if the RNA "
            "of the cells is exchanged at random.",
            "rank_distance": "How many other cells have RNA that is nearer to a cell's ATAC than its own RNA, as a share. 0 is "
            "best, and 0.5 is chance.",
            "genes_by_correlation_with_RNA": "Correlation over cells of a gene's score, the mean over its n_peaks peaks, with its "
            "expression. Genes that follow their expression best come first. By chance a correlation is 0, with a standard "
            "deviation of 1 / sqrt(number of cells - 1).",
            "depth": "How far the mean over peaks of a cell follows its depth: Pearson's r, and by how much the mean changes if "
            "depth rises by one standard deviation. Depth is the logarithm of the number of open peaks, or that of the model if "
            "the number is not known. Means that hardly change may still correlate, for types of cells differ in depth.",
            "metrics": "Agreement of the counts and of the denoised values with groups and RNA, and what it would be by chance: if "
            "groups, or the RNA of cells, are exchanged between cells at random.",
        },
        how_to_read=[
            f"Denoised values are the model's logits without {LEFT_OUT[_left_out(result)]}, so that cells of any depth can be "
            "compared. They are predictions: a peak that the model cannot predict from its sequence is lost.",
            "The silhouette width is 1 if groups lie far apart, and 0.5 if they overlap. The label score at k is the share of a "
            "cell's k nearest neighbours that are in its group. Higher is better, but for the rank distance.",
        ],
        next_steps=list(_next_steps(result, group_by)),
        key_columns={"metrics": ["counts", "denoised", CHANCE_COUNTS, CHANCE_DENOISED, CHANCE_SD, "n_cells", "note"]},
    )


def _findings(result: ad.AnnData) -> Iterator[str]:
    table = result.uns.get("metrics")
    yield f"The result has {result.n_vars:,} columns for {result.n_obs:,} cells, without the depth of each cell."
    yield from _depth(result)
    if table is None:
        yield "It was not compared with groups or RNA, because none were given."
        return
    yield from _groups(table)
    yield from _rna(table)
    yield from warnings_in(result.uns["denoise"])


def _left_out(result: ad.AnnData) -> str:
    """Return which depth was left out. Results of 0.1.0 do not say; it was the intercept."""
    return str(result.uns["denoise"].get("depth", "published"))


def _depth(result: ad.AnnData) -> Iterator[str]:
    """Say how far the values follow depth: as they are, in the counts, and without the other depth."""
    table, depth = result.uns.get("depth"), _left_out(result)
    if table is None or depth not in table.index:
        return
    changes = {name: f"by {row[CHANGE]:.2g} (r = {row[CORRELATION]:.2f})" for name, row in table.iterrows()}
    sentence = (
        f"If depth rises by one standard deviation, the mean of a cell without {LEFT_OUT[depth]} changes {changes.pop(depth)}"
    )
    others = [f"; {'in the counts' if name == 'counts' else f'without {LEFT_OUT[name]}'} {text}" for name, text in changes.items()]
    yield "".join([sentence, *others, "."])


def _next_steps(result: ad.AnnData, group_by: str) -> Iterator[str]:
    is_given = {
        "counts": "counts" in result.uns["heat_map"],
        "group_by": bool(group_by),
        "rna": "rna_correlation_denoised" in result.obs,
    }
    if missing := [option(name) for name, given in is_given.items() if not given]:
        yield f"Give also {' and '.join(missing)}, to compare the values before and after with groups and RNA."
    yield "Where a score fell, use the counts for this purpose, or train longer or on more peaks and denoise again."
    yield "Cluster or correlate the denoised values like any other matrix of cells; the analysis ism shows which bases they follow."


def _groups(table: pd.DataFrame) -> Iterator[str]:
    names = [next((name for name in table.index if name.startswith(start)), None) for start in (SILHOUETTE, *LABEL_SCORES)]
    chosen = [name for name in (names[0], names[1] or names[2]) if name is not None]
    for name in chosen:
        before, after = score_of(table, name, "counts"), score_of(table, name, "denoised")
        if after is None:
            continue
        short = name.split(",")[0]
        if before is None:
            yield f"The {short} is {after:.3f} in the denoised values{beside_chance(table, name, 'denoised', CHANCE_DENOISED)}."
        else:
            yield f"The {short} {change(before, after)} by denoising{beside_chance(table, name, 'denoised', CHANCE_DENOISED)}."


def _rna(table: pd.DataFrame) -> Iterator[str]:
    for name in (RNA_OVER_GENES, RNA_OVER_CELLS):
        before, after = score_of(table, name, "counts"), score_of(table, name, "denoised")
        if after is not None:
            by_chance = beside_chance(table, name, "denoised", CHANCE_DENOISED, "cells")
            changed = f"is {after:.3f}" if before is None else f"{change(before, after)} by denoising"
            yield f"The {name}, {changed}{by_chance}."
    if (distance := score_of(table, RANK_DISTANCE, "denoised")) is not None:
        yield f"For a cell, {distance:.1%} of the other cells have RNA that is nearer to its ATAC than its own (chance 50%)."
