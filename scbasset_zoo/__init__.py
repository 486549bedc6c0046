"""scbasset_zoo: train scBasset, share it as one ONNX file and a card, and use it anywhere.

Names are loaded when first used, so that importing the package stays quick and never imports TensorFlow, Kipoi,
scanpy, matplotlib or ONNX Runtime.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "InputError": "scbasset_zoo.errors",
    "PackageError": "scbasset_zoo.errors",
    "ScbassetZooError": "scbasset_zoo.errors",
    "export": "scbasset_zoo_export.export",
    "open_model": "scbasset_zoo.zoo",
    "open_prepared": "scbasset_zoo.training.dataset",
    "prepare": "scbasset_zoo.training.preparation",
    "simulate": "scbasset_zoo.simulation",
    "train": "scbasset_zoo.training.trainer",
}
__all__ = [
    "InputError",
    "PackageError",
    "ScbassetZooError",
    "export",
    "open_model",
    "open_prepared",
    "prepare",
    "simulate",
    "train",
]

if TYPE_CHECKING:
    from scbasset_zoo_export.export import export

    from scbasset_zoo.errors import InputError, PackageError, ScbassetZooError
    from scbasset_zoo.simulation import simulate
    from scbasset_zoo.training.dataset import open_prepared
    from scbasset_zoo.training.preparation import prepare
    from scbasset_zoo.training.trainer import train
    from scbasset_zoo.zoo import open_model


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
