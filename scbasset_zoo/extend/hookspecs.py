"""Every hook a plugin can implement, one function each; `docs/plugins.md` shows them in use."""

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
    """Return importers: classes that make a model package of another program's files."""


@hookspec
def register_embedding_metrics() -> Sequence[type[EmbeddingMetric]]:  # type: ignore[empty-body]
    """Return metrics: classes that score an embedding of cells, for `embedding` and `batch-correction`."""


@hookspec
def register_integration_methods() -> Sequence[type[IntegrationMethod]]:  # type: ignore[empty-body]
    """Return methods: classes that correct an embedding for batches, for `batch-correction` to compare."""


@hookspec
def register_motif_collections() -> Mapping[str, Callable[[], Mapping[str, ArrayLike]]]:  # type: ignore[empty-body]
    """Return collections of motifs by name: functions that give probabilities (width, 4) of A C G T by "identifier factor"."""


@hookspec
def register_zoo_sources() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Return sources of models: a name and a local folder or URL for each."""


@hookspec
def register_commands(app: typer.Typer) -> None:
    """Add commands to `app`; they join those of `scbasset-zoo`."""
