"""A training run on disk: its parameters, its checkpoints, its history.

RUN/run.json         parameters, data, software, and how the run stands
    checkpoint.npz   weights, optimiser, counts and stopping state after the last finished epoch or the interruption
    best.npz         weights at the best training AUROC
    history.csv      a row for each epoch
    cells.parquet, peaks.parquet, training.png
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import new_file

Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Arrays, state: dict[str, Any] | None = None) -> None:
    """Write named arrays, and a JSON-able state, as one .npz file that appears whole or not at all."""
    with new_file(path) as partial, open(partial, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays, state=np.array(json.dumps(state or {})))


def read_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """What :func:`write_arrays` wrote.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    if not path.exists():
        raise InputError(f"{path} is missing: no epoch of this run was finished. Start it again with --overwrite.")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}). Start the run again with --overwrite.") from error
    return arrays, json.loads(str(arrays.pop("state")))


def write_run(run: Path, facts: dict[str, Any]) -> None:
    """Write RUN/run.json."""
    with new_file(run / "run.json") as partial:
        partial.write_text(json.dumps(facts, indent=1) + "\n")


def read_run(run: Path) -> dict[str, Any]:
    """Read RUN/run.json.

    Raises
    ------
    InputError
        `run` is not the folder of a training run.
    """
    try:
        return json.loads((run / "run.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{run} is not the folder of a training run: its run.json cannot be read ({error}).") from error
