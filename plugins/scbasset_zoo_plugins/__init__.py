"""The plugin with the built-in analyses, metrics, integration methods and motif collections.

It uses the same hooks as any other plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from scbasset_zoo import Analysis, EmbeddingMetric, IntegrationMethod, hookimpl

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@hookimpl
def register_analyses() -> list[type[Analysis]]:
    """Return the analyses of Yuan & Kelley (2022), and variant effects."""
    from scbasset_zoo_plugins.batch_correction.analysis import BatchCorrection
    from scbasset_zoo_plugins.denoise.analysis import Denoise
    from scbasset_zoo_plugins.embedding.analysis import Embedding
    from scbasset_zoo_plugins.ism.analysis import Ism
    from scbasset_zoo_plugins.motif_insertion.analysis import MotifInsertion
    from scbasset_zoo_plugins.variant_effect.analysis import VariantEffect

    return [BatchCorrection, Denoise, Embedding, MotifInsertion, Ism, VariantEffect]


@hookimpl
def register_embedding_metrics() -> list[type[EmbeddingMetric]]:
    """Return metrics of agreement with labels, clusters and RNA, and of mixing of batches."""
    from scbasset_zoo_plugins import metrics

    return [
        metrics.ClusterAgreement,
        metrics.LabelSilhouette,
        metrics.LabelScore,
        metrics.NeighbourScore,
        metrics.Kbet,
        metrics.Ilisi,
    ]


@hookimpl
def register_integration_methods() -> list[type[IntegrationMethod]]:
    """Return Harmony."""
    from scbasset_zoo_plugins.batch_correction.harmony import Harmony

    return [Harmony]


@hookimpl
def register_motif_collections() -> dict[str, Callable[[], Mapping[str, ArrayLike]]]:
    """Return JASPAR's motifs, a collection for each taxon."""
    from scbasset_zoo_plugins.motifs.jaspar import jaspar_collections

    return jaspar_collections()
