"""The models that come with the project."""

from __future__ import annotations

from pathlib import Path


def bundled_folder() -> Path:
    """The folder `model_cards`, which lies inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "model_cards"
    return installed if installed.is_dir() else package.parent / "model_cards"
