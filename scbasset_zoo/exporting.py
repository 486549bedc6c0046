"""`sz.export`: calls the exporter, which is a plugin, because it needs TensorFlow and this package does not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scbasset_zoo import plugin_manager

if TYPE_CHECKING:
    from scbasset_zoo.package.reading import Package


def export(
    run: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    about: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Package:
    """Make a model package of a training run, with the weights at its best training AUROC.

    Parameters
    ----------
    run : path
        Folder made by :func:`scbasset_zoo.train`. An interrupted run can be exported too; its card says so.
    out : path
        Folder for the package.
    about : mapping or path of a YAML file, optional
        Fields of the card that only you know: `id`, `version`, `description`, `authors`, `license`, `citation`, `data`
        (`description`, `license`, `citation`), `intended_use`, `limits`, `cells` (`default_group`, `columns`).
    data : path, optional
        The prepared peak set, if it has moved since training.
    overwrite : bool
        Replace a package that is in `out`.

    Returns
    -------
    Package

    Raises
    ------
    InputError
        The run or its data cannot be used, or `out` exists.
    PackageError
        Keras and ONNX Runtime differ by more than 1e-5 in probability, or a field of `about` is not valid.
    """
    exporter = plugin_manager.module("export")
    return exporter.export(run, out=out, about=about, data=data, overwrite=overwrite)
