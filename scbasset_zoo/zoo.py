"""Opening models by the folder of their package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package import Package

if TYPE_CHECKING:
    from scbasset_zoo.runtime.devices import DeviceName
    from scbasset_zoo.runtime.model import Model


def open_model(name_or_folder: str | os.PathLike[str], device: DeviceName = "auto") -> Model:
    """Open a model for prediction.

    Parameters
    ----------
    name_or_folder : str or path
        The folder of a model package.
    device : "auto", "cpu" or "cuda"
        Where to run; ``auto`` takes an NVIDIA GPU where there is a usable one.

    Raises
    ------
    PackageError
        There is no such folder, or it holds no complete package.
    DeviceError
        The device cannot be had, or no ONNX Runtime is installed.
    """
    from scbasset_zoo.runtime.model import Model

    if not Path(name_or_folder).is_dir():
        raise PackageError(
            f"There is no folder {os.fspath(name_or_folder)!r}. Models are opened from local folders: give the path of a "
            "model package, in which card.yaml lies."
        )
    return Model(Package.open(name_or_folder), device)
