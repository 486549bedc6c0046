"""scbasset_zoo: train scBasset, share it as one ONNX file and a card, and use it anywhere.

Names are loaded when first used, so that importing the package stays quick and never imports TensorFlow, Kipoi,
scanpy, matplotlib or ONNX Runtime.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Analysis": "scbasset_zoo.analysis",
    "EmbeddingMetric": "scbasset_zoo.embedding",
    "Importer": "scbasset_zoo.importer",
    "InputError": "scbasset_zoo.errors",
    "IntegrationMethod": "scbasset_zoo.embedding",
    "PackageError": "scbasset_zoo.errors",
    "PluginError": "scbasset_zoo.errors",
    "ScbassetZooError": "scbasset_zoo.errors",
    "SourceError": "scbasset_zoo.errors",
    "export": "scbasset_zoo_export.export",
    "hookimpl": "scbasset_zoo.hookspecs",
    "list_models": "scbasset_zoo.zoo",
    "open_model": "scbasset_zoo.zoo",
    "open_prepared": "scbasset_zoo.training.dataset",
    "prepare": "scbasset_zoo.training.preparation",
    "publish": "scbasset_zoo.zoo.publishing",
    "pull": "scbasset_zoo.zoo",
    "run": "scbasset_zoo.analysis",
    "simulate": "scbasset_zoo.simulation",
    "train": "scbasset_zoo.training.trainer",
}
__all__ = [
    "Analysis",
    "EmbeddingMetric",
    "Importer",
    "InputError",
    "IntegrationMethod",
    "PackageError",
    "PluginError",
    "ScbassetZooError",
    "SourceError",
    "export",
    "hookimpl",
    "list_models",
    "open_model",
    "open_prepared",
    "prepare",
    "publish",
    "pull",
    "run",
    "simulate",
    "train",
]

if TYPE_CHECKING:
    from scbasset_zoo_export.export import export

    from scbasset_zoo.analysis import Analysis, run
    from scbasset_zoo.embedding import EmbeddingMetric, IntegrationMethod
    from scbasset_zoo.errors import InputError, PackageError, PluginError, ScbassetZooError, SourceError
    from scbasset_zoo.hookspecs import hookimpl
    from scbasset_zoo.importer import Importer
    from scbasset_zoo.simulation import simulate
    from scbasset_zoo.training.dataset import open_prepared
    from scbasset_zoo.training.preparation import prepare
    from scbasset_zoo.training.trainer import train
    from scbasset_zoo.zoo import list_models, open_model, pull
    from scbasset_zoo.zoo.publishing import publish


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name == "kipoi":  # Kipoi finds its classes by attributes from here
        return importlib.import_module("scbasset_zoo.kipoi")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
