"""What the console and the report of `motif-insertion` say about a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.description import Description
from scbasset_zoo_plugins.motif_insertion.significance import MAX_Q, MIN_EFFECT, is_ignored
from scbasset_zoo_plugins.motifs.motif import some_names


def verdict(var: pd.DataFrame) -> str:
    """Return how many motifs the network responds to, in one sentence or two."""
    if "responds" not in var:
        return f"The motifs were not tested against shuffled motifs, because of {option('n_shuffles', 0)}: none may have an effect."
    ignored = is_ignored(var)
    tests = f"in another way than shuffled motifs (q up to {MAX_Q:g}, by {MIN_EFFECT:g} or more)"
    if ignored.all():
        return (
            f"The network ignores all {len(var):,} motifs: none changes the logits {tests}. Activities and their differences "
            "between cells mean nothing."
        )
    first = f"{(~ignored).sum():,} of {len(var):,} motifs change the logits {tests}."
    if not ignored.any():
        return first
    return f"{first} The network ignores the other {ignored.sum():,}: {some_names(var['tf'][ignored])}."


def order_of_factors(var: pd.DataFrame) -> NDArray[np.intp]:
    """Return the positions of the motifs, those with the largest mean effect or deviation first and ignored ones last."""
    return np.lexsort((-np.maximum(var["mean"].abs(), var["deviation"]), is_ignored(var)))


def describe(result: ad.AnnData) -> Description:
    """Return findings, captions and help for a result."""
    settings = result.uns["motif_insertion"]
    group_by, unit = str(settings["group_by"]), str(settings["scale"])
    grey = " Grey: factors that the network ignores (see how to read it)." if "responds" in result.var else ""
    return Description(
        findings=[verdict(result.var), *_findings(result, unit)],
        captions={
            "factors_by_group": f"Below, the mean activity of each {group_by}, as z-scores over cells; numbers are the difference "
            f"of its effect from the mean over cells ({unit}). Above, the same effects in {unit}: the line is the mean over cells, "
            f"each dot is one {group_by}, and the band is where shuffled motifs lie (mean ± 2 SD).{grey}",
            "umap": f"Each point is a cell, coloured by its z-score.{_map_space(settings)} Titles have the deviation of the "
            f"effect over cells ({unit}): if it is small, the colours show small differences.{grey}",
            "precision_recall": f"How well a factor's activity finds the cells of the first group.{grey}",
            "expression": "Correlation over cells of each factor's activity with the expression of its gene. The band is where it "
            f"lies if expression is exchanged between cells at random (mean ± 2 SD).{grey}",
            "factors": f"Effect of each motif: mean and standard deviation over cells ({unit}), the mean effect of its shuffles, "
            "and the tests against them (logit). Ignored motifs are last.",
            "group_means": f"Mean z-score of each motif in each {group_by}. Motifs whose effects differ most come first.",
            "group_effects": f"Mean effect of each motif in each {group_by} ({unit}), in the same order.",
            "contrast": f"How well each activity finds the cells of the first group. The difference is that of mean "
            f"effects ({unit}).",
        },
        how_to_read=[
            f"The effect of a motif in a cell is the change of the {unit} when the motif replaces the centre of a background, as a "
            "mean over backgrounds. 0.1 logit multiplies the odds of an open peak by 1.1; 0.7 doubles them.",
            *_same_in_any_space(unit),
            *_of_several_models(settings),
            "A z-score is an effect less its mean over cells, divided by its deviation over cells. Weak and strong motifs have "
            "z-scores of the same size, so look at the deviation beside it.",
            "Each motif is compared with motifs that have its positions in random order. p_mean tests the mean effect over cells, "
            "p_spread the differences between cells, and q is Benjamini and Hochberg's of twice the smaller one. A motif that does "
            f"not differ from its shuffles (q above {MAX_Q:g}, or by less than {MIN_EFFECT:g} logit as a root mean square over "
            "cells) counts as ignored: it has no effect, or acts by its composition alone.",
        ],
        next_steps=list(_next_steps(result)),
        key_columns={
            "factors": ["tf", "mean", "deviation", "q", "responds", "p_mean", "p_spread"],
            "contrast": ["tf", "auroc", "auroc_by_chance", "difference", "aupr", "aupr_by_chance", "responds"],
            "expression": ["tf", "r", "r_other", "chance", "chance_sd", "kind", "responds"],
        },
        units=dict.fromkeys(("mean", "deviation", "difference"), unit)
        | dict.fromkeys(("shuffled_mean", "shuffled_deviation"), "logit"),
    )


def _map_space(settings: Mapping[str, object]) -> str:
    """Return in which space the cells of the map are compared; nothing if the map was given."""
    space = str(settings.get("space", ""))
    return f" Cells near each other have similar {space} embeddings." if space else ""


def _same_in_any_space(unit: str) -> Iterator[str]:
    if unit == "logit":
        yield (
            "Effects are changes of logits, so they are the same in the canonical and in the published space. The space matters "
            "for the map alone."
        )


def _of_several_models(settings: Mapping[str, object]) -> Iterator[str]:
    if "n_models" in settings:
        yield (
            f"Values are means over {settings['n_models']} models. Columns and tables whose names end in _std have the standard "
            "deviation over models. p and q are the largest over models, so a motif that is not ignored responds in every model."
        )


def _findings(result: ad.AnnData, unit: str) -> Iterator[str]:
    var, ignored = result.var, is_ignored(result.var)
    if ignored.all():
        return
    strongest = var[~ignored].iloc[int(var["mean"][~ignored].abs().argmax())]
    yield f"The largest mean effect over all cells is that of {strongest['tf']}: {strongest['mean']:+.3g} {unit}."
    if "group_effects" in result.uns:
        table = result.uns["group_effects"]
        table = table[~ignored[var.index.get_indexer(table.index)]]
        effects = table.iloc[0, 1:].astype(float)
        group_by = str(result.uns["motif_insertion"]["group_by"])
        yield (
            f"Of these, {table.iloc[0, 0]} differs most between values of {group_by}: from {effects.min():+.3g} {unit} in "
            f"{effects.idxmin()} to {effects.max():+.3g} in {effects.idxmax()}."
        )
    if "contrast" in result.uns:
        table = result.uns["contrast"]
        best = table[~ignored[var.index.get_indexer(table.index)]].iloc[0]
        yield (
            f"{result.uns['motif_insertion']['contrast']}: {best['tf']} tells the groups apart best, with an AUROC of "
            f"{best['auroc']:.3f} (chance 0.500) and a difference of {best['difference']:+.3g} {unit}."
        )


def _next_steps(result: ad.AnnData) -> Iterator[str]:
    ignored = is_ignored(result.var)
    if "responds" not in result.var:
        yield f"Run it again with {option('n_shuffles', 20)}, to see which motifs the network responds to."
    elif ignored.all():
        yield (
            "Compare the model's AUROC with chance, in its card or by the command info. Train it longer, or on more cells or "
            "peaks, before you interpret activities."
        )
    if not ignored.all():
        yield "Run ism on peaks of interest with the same motifs, to see which of their bases the network reads."
    if "expression" not in result.uns:
        yield f"Give expression of the same cells as {option('rna')}, to tell the members of a family of factors apart."
