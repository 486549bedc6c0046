"""The folder of the models that come with the project."""

from __future__ import annotations

from pathlib import Path


def bundled_folder() -> Path:
    """Return the folder `model_cards`. It is in the installed package, or beside the package in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "model_cards"
    return installed if installed.is_dir() else package.parent / "model_cards"
