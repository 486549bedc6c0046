"""What the console and the report of `ism` say about a result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.description import Description
from scbasset_zoo_plugins.ism.controls import in_spreads
from scbasset_zoo_plugins.ism.tables import MAX_Q, table

if TYPE_CHECKING:
    import xarray as xr

MAX_P = 0.05
# What a model may have learnt, by the verdict of its card, without the sequence.
WITHOUT_SEQUENCE = ("depth", "nothing")


def verdict(result: xr.Dataset) -> str:
    """Return whether the effects of bases exceed those in shuffled sequences, in a sentence."""
    if "latent" in result.dims:
        return f"The scores are latent. Give {option('group_by')} or {option('cells')} to get effects on the logit."
    if "random_spread" not in result:
        return (
            "The effects were not compared with those in shuffled sequences, so they may be within the spread of random positions."
        )
    p, largest = float(result["random_p_overall"]), float(np.nan_to_num(in_spreads(result)).max())
    if result.attrs.get("model_learnt") in WITHOUT_SEQUENCE:
        return (
            f"The comparison with shuffled regions (p {p:.2g}) is no evidence, because the model learnt nothing about sequence. "
            "Shuffling breaks up repeats, to which any network responds."
        )
    if p > MAX_P:
        return (
            "The effects are within the spread of random positions: the strongest 10 bp of the regions have no larger effects than "
            f"those of shuffled regions (p {p:.2g}). They are no evidence that the network reads these regions."
        )
    return (
        f"The strongest 10 bp of the regions have larger effects than those of shuffled regions (p {p:.2g}). The most important "
        f"base has {largest:.1f} times the spread at random positions."
    )


def describe(result: xr.Dataset) -> Description:
    """Return findings, captions and help for a result."""
    from scbasset_zoo_plugins.ism.figures import MAX_REGIONS, figure_name

    dimension = str(result["scores"].dims[3])
    band = " The grey band is the spread at random positions." if "random_spread" in result else ""
    logos = [str(name) for name in result["region"].to_numpy()]
    return Description(
        findings=[verdict(result), *_findings(result, dimension)],
        captions={
            figure_name(
                number, name
            ): f"Importance of the bases of {name}, where it is largest, for each {dimension}. Letters above "
            f"0 open the chromatin, letters below 0 close it.{band} Bars below mark matches of motifs."
            for number, name in enumerate(logos[:MAX_REGIONS])
        }
        | {
            "effects": f"For each {dimension}: the spread of importance at random positions, the largest importance in the "
            "regions, how many times the spread this is, and p that the strongest 10 bp of the regions exceed those "
            "of shuffled regions.",
            "motif_matches": "Matches of motifs with the smallest p, each with the group in which it scores highest.",
            "motif_scores_by_group": "Each motif's scores in a group, at its strongest match of each region, against those in the "
            "other groups.",
        },
        how_to_read=[
            "The importance of a base is the change of the logit that the base itself makes, against the mean of all four bases at "
            "its position. It is positive if the base opens the chromatin.",
            *_same_in_any_space(dimension),
            *_of_several_models(result),
            "The spread is the root mean square of importance over all bases of shuffled regions. It says what bases do in "
            "sequences without function, so an effect of one or two spreads means little.",
            "Larger effects than in shuffled regions are no proof that the model learnt: shuffling breaks up runs of one base and "
            "other repeats, to which any network responds. The verdict on the model, above, says whether it did.",
            "p of a match is the share of places of the shuffled scores where its PWM scores as high. q is Benjamini and "
            "Hochberg's over all matches that were tested. The relative score is the score divided by the spread.",
        ],
        next_steps=list(_next_steps(result, dimension)),
        key_columns={
            "effects": [dimension, "largest", "times_spread", "spread", "p"],
            "motif_matches": ["chrom", "start", "end", "strand", "tf", "group", "score", "relative_score", "q"],
            "motif_scores_by_group": ["tf", "group", "median", "median_of_others", "q", "n"],
        },
        units={"spread": "logit", "largest": "logit", "median": "logit", "median_of_others": "logit"},
    )


def _same_in_any_space(dimension: str) -> Iterator[str]:
    if dimension != "latent":
        yield "Effects are changes of logits, so they are the same in the canonical and in the published space."


def _of_several_models(result: xr.Dataset) -> Iterator[str]:
    if "n_models" in result.attrs:
        yield (
            f"Effects are means over {result.attrs['n_models']} models. The file has their standard deviation over models as "
            "scores_std and importance_std. Each p against shuffled regions is the largest over models."
        )


def _findings(result: xr.Dataset, dimension: str) -> Iterator[str]:
    if dimension == "latent":
        return
    largest = result["largest_importance"].to_numpy()
    region, column = np.unravel_index(int(largest.argmax()), largest.shape)
    values = result["importance"][region, :, column].to_numpy()
    position = int(np.abs(values).argmax())
    yield (
        f"The most important base is {_place(result, int(region), position)}, with {values[position]:+.3g} logit in "
        f"{result[dimension].to_numpy()[column]}."
    )
    if "match" in result.dims:
        matches = table(result, "match")
        sure = matches[matches["q"] <= MAX_Q]
        found = f"{len(sure):,} matches of {sure['motif'].nunique():,} motifs have q up to {MAX_Q:g}"
        yield f"{found}; the first in the table is {sure['tf'].iloc[0]}." if len(sure) else "No match of a motif has q up to 0.05."
        compared = table(result, "comparison")
        differs = compared[compared["q"] <= MAX_Q]
        yield f"{len(differs):,} of {len(compared):,} comparisons of a motif's scores between groups have q up to {MAX_Q:g}."


def _place(result: xr.Dataset, region: int, position: int) -> str:
    if "chrom" in result.variables:
        return f"{result['chrom'].to_numpy()[region]}:{int(result['window_start'].to_numpy()[region]) + position + 1:,}"
    return f"base {position + 1:,} of {result['region'].to_numpy()[region]}"


def _next_steps(result: xr.Dataset, dimension: str) -> Iterator[str]:
    if dimension != "latent" and "match" not in result.dims:
        yield f"Give {option('motifs')}, to name the motifs that the important bases are part of."
    if result.attrs.get("model_learnt") in WITHOUT_SEQUENCE:
        yield "Train the model on, or on more cells or peaks, before you interpret effects of bases."
    elif "random_spread" in result and float(result["random_p_overall"]) > MAX_P:
        yield "Compare the model's AUROC with chance, in its card or by the command info, and try regions that it predicts well."
    yield "Run motif-insertion with the same motifs, to see their effect in sequences other than these."
