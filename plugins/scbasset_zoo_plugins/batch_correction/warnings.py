"""What makes a comparison of batch corrections misleading: few cells, batches that follow types, other data, worse mixing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.extend.chance import N_DEVIATIONS
from scbasset_zoo.extend.console import option
from scbasset_zoo_plugins.batch_correction.inputs import BatchCorrectionInputs

if TYPE_CHECKING:
    from scbasset_zoo import Model

Labels = NDArray[np.object_]

FEW_CELLS = 50
CONFOUNDED = 0.3
MOST_NAMES = 10
MIXING_SCORES = ("kBET acceptance", "iLISI, rescaled")
LABEL_SCORE = "label score at 50"


def warnings_of_inputs(model: Model, inputs: BatchCorrectionInputs) -> list[str]:
    """Return sentences on batches of few cells, on batches that follow the groups, and on models of other data."""
    sentences = _small_batches(inputs.batches)
    if inputs.labels is not None:
        sentences += _confounded(inputs.batches, inputs.labels)
    others = [("plain", inputs.plain)] + [("models", other) for other in inputs.models]
    return sentences + [text for name, other in others if other is not None for text in _other_data(model, other.model, name)]


def warnings_of_mixing(comparison: pd.DataFrame, chance: pd.DataFrame) -> list[str]:
    """Return a sentence for each correction that mixes the batches less than the embedding that it corrects.

    Parameters
    ----------
    comparison : DataFrame
        A row for each correction, with the row that it corrects in the column `corrects`.
    chance : DataFrame
        A row for each score, with the column `chance_sd`. Falls of less than three of these are not reported.
    """
    errors = N_DEVIATIONS * chance["chance_sd"]
    sentences = []
    for name, row in comparison.iterrows():
        if row["corrects"] not in comparison.index:
            continue
        before = comparison.loc[row["corrects"]]
        changes = (row[errors.index] - before[errors.index]).astype(float)
        fallen = [score for score in MIXING_SCORES if score in changes and changes[score] < -errors[score]]
        if not fallen:
            continue
        falls = ", ".join(f"{score} {before[score]:.2f} to {row[score]:.2f}" for score in fallen)
        sentence = f"{name} mixes the batches less than {row['corrects']} without correction: {falls}."
        if changes.get(LABEL_SCORE, 0) > errors.get(LABEL_SCORE, np.inf):
            sentence += (
                f" But its {LABEL_SCORE} rose, {before[LABEL_SCORE]:.2f} to {row[LABEL_SCORE]:.2f}: an embedding that tells fewer "
                "cells apart mixes batches more by itself."
            )
        if row["kind"] == "scBasset-BC":
            sentence += f" To mix more, train with a larger {option('l2_cell')}."
        sentences.append(sentence)
    return sentences


def cramers_v(first: Labels, second: Labels) -> float:
    """Return how far one grouping of cells determines another: 0 not at all, 1 wholly.

    This is Cramer's V with the correction for small numbers of cells (Bergsma 2013): unrelated groupings have about 0.
    """
    from scipy.stats import chi2_contingency

    counts = pd.crosstab(first, second).to_numpy()
    n, (rows, columns) = counts.sum(), counts.shape
    if n < 2 or min(rows, columns) < 2:
        return 0.0
    by_chance = (rows - 1) * (columns - 1) / (n - 1)
    phi2 = max(0.0, chi2_contingency(counts, correction=False).statistic / n - by_chance)
    size = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    return float(np.sqrt(phi2 / size)) if size > 0 else 0.0


def _small_batches(batches: Labels) -> list[str]:
    sizes = pd.Series(batches).value_counts()
    small = sizes[sizes < FEW_CELLS]
    if small.empty:
        return []
    listed = _listed([f"{name} ({n:,})" for name, n in small.items()])
    return [f"Batches of fewer than {FEW_CELLS} cells hardly change the scores of mixing, which say little about them: {listed}."]


def _confounded(batches: Labels, labels: Labels) -> list[str]:
    sentences = []
    association = cramers_v(batches, labels)
    if association >= CONFOUNDED:
        sentences.append(
            f"Batches and groups go together (Cramér's V {association:.2f}; {CONFOUNDED} or more is reported). A correction that "
            "mixes the batches also mixes groups, so a complete mix is not the aim."
        )
    counts = pd.crosstab(labels, batches)
    alone = counts[(counts > 0).sum(axis=1) == 1]
    if len(alone):
        listed = _listed([f"{label} ({row.sum():,} cells, batch {row.idxmax()})" for label, row in alone.iterrows()])
        sentences.append(f"Some groups are in one batch only, so their batch effect cannot be told from their type: {listed}.")
    return sentences


def _other_data(model: Model, other: Model, name: str) -> list[str]:
    """Compare the hashes on the cards of two models; a hash that a card does not have is not compared."""
    pairs = {
        "files": (_file_hashes(model), _file_hashes(other)),
        "peaks": tuple(None if one.card.peaks is None else one.card.peaks.order_sha256 for one in (model, other)),
    }
    differ = [what for what, (first, second) in pairs.items() if first and second and first != second]
    if not differ:
        return []
    return [
        f"{option(name)}: {other.card.id} {other.card.version} was trained on other {' and '.join(differ)} than {model.card.id} "
        f"{model.card.version}, by the SHA-256 on their cards. The models differ in more than the batch correction."
    ]


def _file_hashes(model: Model) -> set[str]:
    training: Any = model.card.training
    return set() if training is None else {source.sha256 for source in training.sources if source.sha256 is not None}


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")
