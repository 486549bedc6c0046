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
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import new_file

HISTORY = ("epoch", "loss", "auroc", "validation_loss", "validation_auroc", "peaks_per_second", "seconds")


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
    """

    folder: Path
    status: str
    stopped_because: str
    history: pd.DataFrame


def open_run(folder: str | os.PathLike[str]) -> Run:
    """Open the training run in a folder.

    Raises
    ------
    InputError
        `folder` does not hold a training run.
    """
    folder = Path(folder)
    record = read_record(folder)
    return Run(folder, record["status"], record.get("stopped_because", ""), read_history(folder))


def read_history(folder: Path) -> pd.DataFrame:
    """Read the history of a run: a row for each finished epoch."""
    path = folder / "history.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(HISTORY))


def write_history(folder: Path, rows: list[dict[Any, Any]]) -> None:
    """Write RUN/history.csv."""
    with new_file(folder / "history.csv") as partial, open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, HISTORY)
        writer.writeheader()
        writer.writerows(rows)


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write RUN/run.json."""
    with new_file(folder / "run.json") as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n")


def read_record(folder: Path) -> dict[str, Any]:
    """Read RUN/run.json, with today's names.

    Raises
    ------
    InputError
        `folder` is not the folder of a training run.
    """
    try:
        return _with_new_names(json.loads((folder / "run.json").read_text()))
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{folder} is not the folder of a training run: its run.json cannot be read ({error}).") from error


def _with_new_names(record: dict[str, Any]) -> dict[str, Any]:
    """Rename options that earlier versions recorded under another name."""
    for section in ("options", "architecture"):
        if "bottleneck" in record.get(section, {}):
            record[section]["embedding_size"] = record[section].pop("bottleneck")
    return record
