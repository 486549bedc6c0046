"""Models of the zoo as models of Kipoi; what needs the kipoi package is imported when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "PeakWindows": "scbasset_zoo.kipoi.adapter",
    "ScBasset": "scbasset_zoo.kipoi.adapter",
    "refresh": "scbasset_zoo.kipoi.folder",
    "register": "scbasset_zoo.kipoi.config",
    "unregister": "scbasset_zoo.kipoi.config",
}
__all__ = ["PeakWindows", "ScBasset", "refresh", "register", "unregister"]

if TYPE_CHECKING:
    from scbasset_zoo.kipoi.adapter import PeakWindows, ScBasset
    from scbasset_zoo.kipoi.config import register, unregister
    from scbasset_zoo.kipoi.folder import refresh


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
