"""The folder of a training run: its record, its history and what they say about it.

RUN/run.json         options, data, software, and the status of the run
    checkpoint.npz   weights, optimiser and counts after the last finished epoch or the interruption
    best.npz         weights at the best training AUROC
    history.csv      a row for each epoch
    cells.parquet, peaks.parquet, training.png
"""

from __future__ import annotations

import csv
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.files import rewritten
from scbasset_zoo.options import is_whole_number
from scbasset_zoo.training.train_options import TrainingOptions
from scbasset_zoo.validation import field_problems

HISTORY = ("epoch", "loss", "auroc", "validation_loss", "validation_auroc", "peaks_per_second", "seconds")
FILES = ("run.json", "checkpoint.npz", "best.npz", "history.csv", "cells.parquet", "peaks.parquet", "training.png")
_WITHOUT_HISTORY = "Put the right file back, or delete it to continue without the rows of the earlier epochs."


@dataclass(frozen=True)
class Run:
    """A training run on disk.

    Attributes
    ----------
    folder : Path
    status : {"finished", "interrupted", "failed", "running"}
    stopped_because : str
    history : pandas.DataFrame
        A row for each finished epoch.
    verdict : dict or None
        What the network learnt, by its validation peaks, see :func:`scbasset_zoo.training.verdict.judge`. None before the run is
        finished.
    """

    folder: Path
    status: str
    stopped_because: str
    history: pd.DataFrame
    verdict: dict[str, Any] | None = None


class _Data(BaseModel):
    folder: str
    manifest_sha256: str


class _Architecture(BaseModel):
    model_config = ConfigDict(extra="forbid")

    n_cells: Annotated[int, Field(ge=1)]
    n_batches: Annotated[int, Field(ge=0)] = 0
    embedding_size: Annotated[int, Field(ge=1)]
    width: Annotated[float, Field(gt=0)]
    sequence_length: Annotated[int, Field(ge=1)]


class _Change(BaseModel):
    option: str
    before: float | str | None
    after_epoch: float


class _Record(BaseModel):
    """The fields of run.json that resuming and exporting read."""

    status: Literal["running", "finished", "interrupted", "failed"]
    stopped_because: str = ""
    seconds: float = 0.0
    data: _Data
    options: TrainingOptions
    precision: Literal["float32", "bfloat16"]
    architecture: _Architecture
    n_trainable: int
    changed_options: list[_Change] = []
    verdict: dict[str, str | float] | None = None
    versions: dict[str, str]
    hardware: str


def files_of_run(folder: Path) -> list[str] | None:
    """Return the names of the files of a training run, or None if a folder is none."""
    try:
        checked_record(folder)
    except InputError:
        return None
    return [*FILES, "tensorboard"]


def open_run(folder: str | os.PathLike[str]) -> Run:
    """Open the training run in a folder.

    Raises
    ------
    InputError
        `folder` does not hold a training run, or its run.json or history.csv is damaged.
    """
    folder = Path(folder)
    record = checked_record(folder)
    return Run(folder, record["status"], record["stopped_because"], read_history(folder), record.get("verdict"))


def checked_record(folder: Path) -> dict[str, Any]:
    """Read RUN/run.json, check its fields and fill in those that may be missing.

    Raises
    ------
    InputError
        `folder` is not the folder of a training run, or fields are missing or wrong. The message lists them all.
    """
    record = read_record(folder)
    try:
        checked = _Record.model_validate(record)
    except ValidationError as error:
        problems = "\n  ".join([f"{folder / 'run.json'} is damaged:", *field_problems(error)])
        raise InputError(f"{problems}\nPut the file back as it was, or start a new run.") from None
    complete = checked.model_dump(include={"stopped_because", "seconds", "options"})
    return {**record, **complete, "architecture": checked.architecture.model_dump()}


def check_state(path: Path, record: dict[str, Any], state: dict[str, Any], numbers: tuple[str, ...]) -> None:
    """Raise an InputError if the state of a file of weights is of another run, or one of its numbers is missing or impossible."""
    if state.get("run", record.get("id")) != record.get("id"):
        raise InputError(f"{path} belongs to another run than {path.with_name('run.json')}. Put the right file back.")
    wrong = [name for name in numbers if not _is_number_of_state(name, state.get(name))]
    if wrong:
        raise InputError(f"{path} is damaged: it does not give {', '.join(wrong)}. Put the right file back, or start a new run.")


def _is_number_of_state(name: str, value: object) -> bool:
    if name in ("epoch", "step", "best_epoch"):
        return is_whole_number(value) and 0 <= value < 2**31  # type: ignore[operator]
    # The best AUROC is minus infinity before the first epoch.
    return isinstance(value, float | int) and not isinstance(value, bool) and not math.isnan(value)


def read_history(folder: Path) -> pd.DataFrame:
    """Read the history of a run: a row for each finished epoch.

    Raises
    ------
    InputError
        The file is damaged.
    """
    path = folder / "history.csv"
    if not path.exists():
        return pd.DataFrame(columns=list(HISTORY))
    with readable(str(path)):
        history = pd.read_csv(path, float_precision="round_trip")
    if not set(HISTORY) <= set(history.columns) or not all(history[name].dtype.kind in "if" for name in HISTORY):
        raise InputError(f"{path} is damaged: expected numbers in the columns {', '.join(HISTORY)}. {_WITHOUT_HISTORY}")
    if (history["epoch"] != np.arange(len(history)) + history["epoch"].min()).any():
        raise InputError(f"{path} is damaged: the epochs are not consecutive. {_WITHOUT_HISTORY}")
    return history[list(HISTORY)]


def write_history(folder: Path, rows: list[dict[Any, Any]]) -> None:
    """Write RUN/history.csv."""
    with rewritten(folder / "history.csv") as partial, open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, HISTORY)
        writer.writeheader()
        writer.writerows(rows)


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write RUN/run.json."""
    with rewritten(folder / "run.json") as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n")


def read_record(folder: Path) -> dict[str, Any]:
    """Read RUN/run.json, with today's names.

    Raises
    ------
    InputError
        `folder` is not the folder of a training run.
    """
    try:
        record = json.loads((folder / "run.json").read_text())
        if not isinstance(record, dict):
            raise ValueError("it is not a mapping")
        return _with_new_names(record)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{folder} is not the folder of a training run: its run.json cannot be read ({error}).") from error


def _with_new_names(record: dict[str, Any]) -> dict[str, Any]:
    """Rename options that earlier versions recorded under another name."""
    for section in ("options", "architecture"):
        if isinstance(record.get(section), dict) and "bottleneck" in record[section]:
            record[section]["embedding_size"] = record[section].pop("bottleneck")
    return record
