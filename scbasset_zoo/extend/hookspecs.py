"""Every hook that a plugin can implement, a function each. `docs/plugins.md` has an example of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import typer
    from numpy.typing import ArrayLike

    from scbasset_zoo.extend.analysis import Analysis
    from scbasset_zoo.extend.embedding import EmbeddingMetric, IntegrationMethod
    from scbasset_zoo.extend.importer import Importer

hookspec = pluggy.HookspecMarker("scbasset_zoo")
hookimpl = pluggy.HookimplMarker("scbasset_zoo")


@hookspec
def register_analyses() -> Sequence[type[Analysis]]:  # type: ignore[empty-body]
    """Return analyses: classes that compute something with a model."""


@hookspec
def register_importers() -> Sequence[type[Importer]]:  # type: ignore[empty-body]
    """Return importers: classes that make a model package from another program's files."""


@hookspec
def register_embedding_metrics() -> Sequence[type[EmbeddingMetric]]:  # type: ignore[empty-body]
    """Return metrics: classes that score an embedding of cells. The analyses `embedding` and `batch-correction` use them."""


@hookspec
def register_integration_methods() -> Sequence[type[IntegrationMethod]]:  # type: ignore[empty-body]
    """Return methods: classes that correct an embedding for batches. The analysis `batch-correction` compares them."""


@hookspec
def register_motif_collections() -> Mapping[str, Callable[[], Mapping[str, ArrayLike]]]:  # type: ignore[empty-body]
    """Return motif collections by name: functions that return probabilities (width, 4) of A C G T by "identifier factor"."""


@hookspec
def register_zoo_sources() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Return sources of models: a local folder or URL by name."""


@hookspec
def register_commands(app: typer.Typer) -> None:
    """Add commands to `app`. They become commands of `scbasset-zoo`."""
