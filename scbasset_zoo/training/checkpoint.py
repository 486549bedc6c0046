"""Checkpoints of a training run: named arrays and a state in one .npz file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import rewritten
from scbasset_zoo.wording import option

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Arrays, state: dict[str, Any] | None = None) -> None:
    """Write named arrays and a state of JSON values as one .npz file, which appears whole or not at all."""
    with rewritten(path) as partial, open(partial, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays, state=np.array(json.dumps(state or {})))


def read_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Read the arrays and the state that :func:`write_arrays` wrote.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    start_again = f"Start the run again with {option('overwrite', True)}."
    if not path.exists():
        raise InputError(f"{path} is missing: this run has finished no epoch. {start_again}")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        state = json.loads(str(arrays.pop("state")))
        if not isinstance(state, dict):
            raise ValueError("its state is not a mapping")
    except Exception as error:  # zipfile and NumPy raise many kinds on damaged files
        raise InputError(f"{path} is damaged ({' '.join(str(error).split()) or type(error).__name__}). {start_again}") from error
    return arrays, state


def not_finite(arrays: Arrays) -> str:
    """Name the arrays that have values that are not finite, as in "weight/conv_0/kernel and 2 more"; "" if there are none."""
    names = [name for name, array in arrays.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}" if names else ""
