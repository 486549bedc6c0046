"""Scores and corrects embeddings with the installed metrics and integration methods."""

from __future__ import annotations

import numpy as np

from scbasset_zoo.extend.embedding import Array, EmbeddedCells
from scbasset_zoo.progress import say


def score_embedding(cells: EmbeddedCells) -> dict[str, float]:
    """Score an embedding with every installed metric whose needs are met; a metric that fails is reported and left out."""
    from scbasset_zoo.plugin_manager import embedding_metrics

    found: dict[str, float] = {}
    for name, kind in embedding_metrics().items():
        if all(cells.has(need) for need in kind.needs):
            try:
                found |= {score: float(value) for score, value in kind().score(cells).items()}
            except Exception as error:  # noqa: BLE001  a stranger's metric must not cost the result of the others
                _left_out("metric", name, kind, error)
    return found


def integrate(name: str, embedding: Array, batches: Array, *, seed: int) -> Array | None:
    """What an installed method makes of an embedding, as float32; None, and a report, where it fails."""
    from scbasset_zoo.plugin_manager import integration_methods

    kind = integration_methods()[name]
    try:
        result = np.asarray(kind().integrate(embedding.copy(), batches.copy(), seed=seed), dtype=np.float32)
        if result.ndim != 2 or len(result) != len(embedding) or not np.isfinite(result).all():
            raise ValueError(f"it must return finite numbers of shape ({len(embedding)}, any); found {result.shape}")
    except Exception as error:  # noqa: BLE001  as above
        _left_out("integration method", name, kind, error)
        return None
    return result


def _left_out(what: str, name: str, kind: type, error: Exception) -> None:
    from scbasset_zoo.plugin_manager import distribution_of

    say(f"The {what} {name!r} of {distribution_of(kind)} failed and is left out: {type(error).__name__}: {error}")
