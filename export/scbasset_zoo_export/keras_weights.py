"""Reads the weights of an untrusted Keras 2 HDF5 file: plain arrays by layer; links are not followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, readable

Array = NDArray[np.float32]
_SAVE = "Save them in Keras 2 with model.save_weights('weights.h5')."


def read_weights(path: Path) -> tuple[dict[str, dict[str, Array]], str]:
    """Read the arrays of each layer, and the version of Keras that wrote them.

    Returns
    -------
    weights : dict
        Float32 arrays by layer and name, as in ``{"conv1d": {"kernel": ...}, ...}``; layers without weights are left out.
    keras_version : str
        "" if the file does not say.

    Raises
    ------
    InputError
        The file is not HDF5, is a whole model or of another layout, has links or data outside the file, or has values that
        are not finite numbers.
    """
    with readable(str(path)), path.open("rb"), h5py.File(path, "r") as file:
        if "model_config" in file.attrs or "model_weights" in file:
            raise InputError(f"{path} is a whole model, not weights alone. {_SAVE}")
        if "layer_names" not in file.attrs:
            kind = "Keras 3 weights" if "layers" in file else "HDF5, but not Keras weights (it has no list of layer names)"
            raise InputError(f"{path} is {kind}; expected the weights of a Keras 2 model. {_SAVE}")
        layers = {name: _datasets(path, file, name) for name in map(_text, file.attrs["layer_names"])}
        # Keras writes arrays without compression. A file that declares more bytes than it has would fill the memory when read.
        declared = sum(dataset.nbytes for datasets in layers.values() for dataset in datasets.values())
        if declared > path.stat().st_size:
            raise InputError(f"{path} declares {declared:,} bytes of weights, more than the size of the file. Download it again.")
        version = _text(file.attrs.get("keras_version", ""))
        arrays = {
            layer: {weight: _values(f"{path}: {layer}/{weight}", dataset) for weight, dataset in datasets.items()}
            for layer, datasets in layers.items()
            if datasets
        }
    return arrays, version


def _datasets(path: Path, file: h5py.File, layer: str) -> dict[str, h5py.Dataset]:
    group = _follow(path, file, layer)
    names = [_text(name) for name in group.attrs.get("weight_names", ())]
    return {name.rpartition("/")[2].removesuffix(":0"): _plain(path, _follow(path, group, name)) for name in names}


def _follow(path: Path, group: h5py.Group, name: str) -> Any:
    """Return the group or dataset of a name, without following links."""
    node = group
    for part in name.split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            raise InputError(f"{path} lists {name!r} in {group.name}, but does not have it. Download it again.")
        if not isinstance(link, h5py.HardLink):
            raise InputError(f"{path}: {name!r} in {group.name} is a link to {link.path!r}; links are not followed.")
        node = node[part]
    return node


def _plain(path: Path, dataset: Any) -> h5py.Dataset:
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "f" or dataset.shape is None:
        raise InputError(f"{path}: {dataset.name} is not an array of floating-point numbers.")
    if dataset.external or dataset.is_virtual:
        raise InputError(f"{path}: the values of {dataset.name} are in another file, which is not read.")
    return dataset


def _values(where: str, dataset: h5py.Dataset) -> Array:
    values = dataset[()].astype(np.float32)
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        raise InputError(f"{where} has {wrong:,} of {values.size:,} weights that are not finite.")
    return values


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
