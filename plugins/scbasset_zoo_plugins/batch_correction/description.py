"""What the report of `batch-correction` says about a result."""

from __future__ import annotations

from collections.abc import Iterator

import anndata as ad
import pandas as pd

from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.description import Description
from scbasset_zoo_plugins.batch_correction.figures import LABEL_SCORE, MIXING_SCORES, has_values
from scbasset_zoo_plugins.palette import label_column
from scbasset_zoo_plugins.sentences import CHANCE, change, score_of, warnings_in
from scbasset_zoo_plugins.spaces import recorded_space

CORRECTED = "scBasset-BC"
UNCORRECTED = ("scBasset", "LSI")


def describe(result: ad.AnnData) -> Description:
    """Return findings, captions and help for a result."""
    recorded, table = result.uns["batch_correction"], result.uns["comparison"]
    batch_key, group_by = str(recorded["batch_key"]), str(recorded["group_by"])
    groups = f", below by {group_by}" if group_by else ""
    chance = (
        " Dotted lines: the scores if batches and groups were exchanged between cells at random." if CHANCE in result.uns else ""
    )
    return Description(
        findings=list(_findings(result, table, batch_key, group_by)),
        captions={
            "trade_off": "Each symbol is a correction. To the right the batches mix better; upwards the neighbours of a cell are "
            "more often of its group. The best correction is at the top right. A line joins the batch-corrected models in the "
            "order of their penalty." + chance,
            "umaps": f"A UMAP of each correction. Each point is a cell, coloured by {batch_key}{groups}. Well mixed batches have "
            "no places of their own.",
            "comparison": "A row for each correction. All scores are higher if the correction is better, and all but iLISI lie "
            "between 0 and 1.",
            "other_space": "The scores of the models in the space in which they are not compared.",
            "chance": "What each score of the model would be if batches and groups were exchanged between cells at random. Mixing "
            "can hardly be better than this; scores of groups should be much higher.",
        },
        how_to_read=[
            "iLISI is the number of batches around a cell; rescaled, it is 0 if there is one and 1 if all mix. kBET acceptance is "
            "the share of neighbourhoods in which the batches mix as among all cells. If batches differ in their cell types, no "
            "correction should reach 1.",
            "The label score at k is the share of a cell's k nearest neighbours that are in its group. A correction that mixes "
            "batches by mixing cell types has a low label score.",
            "Each model was trained with one seed. Train with several before you trust a small difference.",
        ],
        next_steps=list(_next_steps(table, group_by)),
        key_columns={
            "comparison": ["kind", "space", *MIXING_SCORES, LABEL_SCORE, "cell-type ASW"],
            "other_space": ["space", *MIXING_SCORES, LABEL_SCORE, "cell-type ASW"],
        },
    )


def _findings(result: ad.AnnData, table: pd.DataFrame, batch_key: str, group_by: str) -> Iterator[str]:
    n_batches = label_column(result.obs, batch_key).nunique()
    compared = "One embedding was scored," if len(table) == 1 else f"{len(table):,} embeddings were scored,"
    yield f"{compared} of {result.n_obs:,} cells in {n_batches:,} batches (column {batch_key})."
    mixing = next((score for score in MIXING_SCORES if has_values(table, score)), None)
    scores = [(mixing, "mixes the batches best")] if mixing else []
    scores += [(LABEL_SCORE, f"keeps {group_by} apart best")] if group_by and has_values(table, LABEL_SCORE) else []
    for score, best in scores:
        if len(table) == 1:
            yield f"Its {score} is {table[score].iloc[0]:.3f}{_beside_chance(result, score)}."
        else:
            yield f"{table[score].idxmax()} {best} ({score}: {table[score].max():.3f}{_beside_chance(result, score)})."
    yield from _against_uncorrected(table, [score for score, _ in scores])
    if "space" in result.uns["batch_correction"]:  # 0.1.0 had the published one alone
        yield _why_this_space(result)
    yield from warnings_in(result.uns["batch_correction"])


def _beside_chance(result: ad.AnnData, score: str) -> str:
    """Return what a score is if batches and groups are exchanged at random, after a comma; "" if it is not known."""
    chance = score_of(result.uns[CHANCE], score, CHANCE) if CHANCE in result.uns else None
    return "" if chance is None else f", {chance:.3f} with permuted batches and groups"


def _why_this_space(result: ad.AnnData) -> str:
    """Say in which space the models are compared, and why. Scores in the other space mean that all models have a gauge."""
    all_have_gauge = "other_space" in result.uns
    if recorded_space(result.uns["batch_correction"]) == "canonical":
        return (
            "Models are compared in the canonical space, since all have a gauge: the distance of two cells is the root mean square "
            "difference of their logits over the training peaks, without depth and without batch effects."
        )
    why = f"because of {option('space', 'published')}" if all_have_gauge else "since not all models have a gauge"
    return f"Models are compared in the published space, {why}. Its distances have no units, and differ between fits."


def _against_uncorrected(table: pd.DataFrame, scores: list[str]) -> Iterator[str]:
    """Compare the batch-corrected model with the plain model, or with LSI."""
    before = next((name for name in UNCORRECTED if name in table.index), None)
    corrected = table.index[table["kind"] == CORRECTED]
    if before is None or not len(corrected):
        return
    changes: dict[str, str] = {}
    for score in scores:
        old, new = score_of(table, before, score), score_of(table, corrected[0], score)
        if old is not None and new is not None:
            changes[score] = change(old, new)
    if changes:
        yield f"From {before} to {corrected[0]}, {', and '.join(f'the {score} {how}' for score, how in changes.items())}."


def _next_steps(table: pd.DataFrame, group_by: str) -> Iterator[str]:
    if not group_by:
        yield f"Give the column of the cell types as {option('group_by')}, to see what each correction keeps."
    if not set(UNCORRECTED) & set(table.index):
        yield f"Give the counts as {option('counts')} and a plain model as {option('plain')}, to compare with no correction."
    yield (
        f"Train with several penalties ({option('l2_cell')} of train), and give the models as {option('models')}. Take the one "
        "that mixes the batches without a lower label score."
    )
