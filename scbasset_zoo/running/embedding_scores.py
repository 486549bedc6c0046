"""Scores and corrects embeddings with the registered metrics and integration methods."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd

from scbasset_zoo import plugin_manager
from scbasset_zoo.extend.chance import AT_CHANCE, NO_CHANCE, chance_of
from scbasset_zoo.extend.embedding import (
    Array,
    EmbeddedCells,
    EmbeddingMetric,
    IntegrationMethod,
    UndefinedScore,
    reasons_of_undefined,
)
from scbasset_zoo.progress import say


def score_embedding(cells: EmbeddedCells) -> dict[str, float]:
    """Score an embedding with every registered metric that has what it needs.

    A metric that fails is reported and left out.

    Parameters
    ----------
    cells : EmbeddedCells
        The embedding, with any of the labels, clusters, batches and RNA of the cells.

    Returns
    -------
    dict of str to float
        Scores by name. A score that is not a finite number is an :class:`scbasset_zoo.extend.embedding.UndefinedScore`, which is
        NaN and has the reason.
    """
    scores: dict[str, float] = {}
    for name, metric in _metrics_for(cells):
        scores |= _scores(name, metric, cells)
    return scores


def compare_with_chance(cells: EmbeddedCells) -> pd.DataFrame:
    """Score an embedding as :func:`score_embedding`, and compare each score with its value by chance.

    Chance is the score after labels, batches and RNA moved to other cells at random. Chance is the worst for scores of labels and
    RNA, and the best for scores of mixing: the batches then mix completely.

    Parameters
    ----------
    cells : EmbeddedCells

    Returns
    -------
    DataFrame
        A row for each score, with columns `score`; `chance` and `chance_sd`, its mean and standard deviation over 20 permutations,
        NaN for a metric that needs neither labels, batches nor RNA; `n_cells`, the number of cells that the score is a mean over;
        and `note`, which says if the score is undefined, or within three standard deviations of chance.
    """
    rows: dict[str, tuple[float, float, float, int, str]] = {}
    for name, metric in _metrics_for(cells):
        scores = _scores(name, metric, cells)
        exchanged = metric.needs - {"clusters"}
        is_defined = any(map(math.isfinite, scores.values()))
        chance = (
            chance_of(partial(_scores, name, metric), cells, exchanged, most_cells=metric.most_cells_for_chance)
            if exchanged and is_defined
            else {}
        )
        notes = reasons_of_undefined(scores)
        for score, value in scores.items():
            by_chance = chance.get(score, NO_CHANCE)
            note = notes.get(score, AT_CHANCE if by_chance.covers(value) else "")
            rows[score] = (float(value), *by_chance, len(cells.sample), note)
    columns = ["score", "chance", "chance_sd", "n_cells", "note"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("metric")


def _metrics_for(cells: EmbeddedCells) -> list[tuple[str, type[EmbeddingMetric]]]:
    """Return the registered metrics, by name, that have what they need."""
    metrics = plugin_manager.embedding_metrics().as_dict().items()
    return [(name, metric) for name, metric in metrics if all(cells.has(need) for need in metric.needs)]


def _scores(name: str, metric: type[EmbeddingMetric], cells: EmbeddedCells) -> dict[str, float]:
    """Return the scores of one metric; none, with a report, if it fails."""
    try:
        return {score: _number(value, name) for score, value in metric().score(cells).items()}
    except Exception as error:  # a plugin's metric may raise anything, and the other metrics are still computed
        _report("metric", name, metric, error)
        return {}


def integration_methods() -> dict[str, type[IntegrationMethod]]:
    """Return the registered integration methods by name. A name that is registered twice is left out."""
    return plugin_manager.integration_methods().as_dict()


def integrate(name: str, embedding: Array, batches: Array, *, seed: int) -> Array | None:
    """Correct an embedding for batches with a registered method.

    A method that fails is reported.

    Parameters
    ----------
    name : str
        One of :func:`integration_methods`.
    embedding : float array (n_cells, n_dimensions)
    batches : array of n_cells texts
    seed : int

    Returns
    -------
    float32 array (n_cells, any number of dimensions), or None if the method fails

    Raises
    ------
    InputError
        No plugin registers the name.
    PluginError
        The name is registered twice.
    """
    method = plugin_manager.integration_methods().get(name)
    try:
        corrected = np.asarray(method().integrate(embedding.copy(), batches.copy(), seed=seed), dtype=np.float32)
        if corrected.ndim != 2 or len(corrected) != len(embedding) or not np.isfinite(corrected).all():
            raise ValueError(f"it must return finite numbers of shape ({len(embedding)}, any); found {corrected.shape}")
    except Exception as error:  # a plugin's method may raise anything, and the other methods are still compared
        _report("integration method", name, method, error)
        return None
    return corrected


def _number(value: float, metric: str) -> float:
    """Return a finite score as a float, and any other with the reason why it is undefined."""
    if isinstance(value, UndefinedScore) or math.isfinite(value):
        return value if isinstance(value, UndefinedScore) else float(value)
    return UndefinedScore(f"the metric {metric!r} returned {float(value)}")


def _report(kind: str, name: str, plugin_class: type, error: Exception) -> None:
    distribution = plugin_manager.distribution_of(plugin_class)
    say(f"The {kind} {name!r} of {distribution} failed and is left out: {type(error).__name__}: {error}")
